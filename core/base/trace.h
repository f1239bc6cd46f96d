/* trace.h - one line per station of a write's path, in product, simulator and tests alike.
 *
 *   capture gseq=5 kind=order.submit ops=4 bytes=812
 *
 * Events, levels and keys stand in schema/events.def. Lines go to the port's log; where they end is
 * the platform's choice. TRC-1: no customer data: keys hold numbers, codes and device ids. */
#ifndef FB_BASE_TRACE_H
#define FB_BASE_TRACE_H

#include "base/port.h"

typedef enum trace_event {
#define X(name, text, level, keys) TRACE_##name,
#include "schema/events.def"
#undef X
    TRACE_EVENTS
} trace_event;

/* The format holds the keys: trace(port, TRACE_CAPTURE, "gseq=%lld ...", ...). port may be NULL. */
void trace(const fb_port *port, trace_event event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *trace_name(trace_event event);

#endif
