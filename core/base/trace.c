/* trace.c - see trace.h. */
#include "base/trace.h"

#include <stdarg.h>
#include <stdio.h>

enum { TRACE_LINE_BYTES = 400 };

static const struct trace_kind {
    const char *name;
    fb_level level;
} KINDS[TRACE_EVENTS] = {
#define X(name, text, level, keys) {text, FB_LOG_##level},
#include "schema/events.def"
#undef X
};

const char *trace_name(trace_event event)
{
    return KINDS[event].name;
}

void trace(const fb_port *port, trace_event event, const char *format, ...)
{
    if (port == NULL || port->log == NULL) {
        return;
    }
    char line[TRACE_LINE_BYTES];
    int n = snprintf(line, sizeof line, "%s ", KINDS[event].name);
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    port->log(port->ctx, KINDS[event].level, line);
}
