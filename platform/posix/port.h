/* port.h - the operating system's clock, randomness and log, as the fb_port that core asks for.
 *
 * One log line is one write(2) to a descriptor opened for appending, so that lines of several
 * threads never mix (LOG-1), and holds no control characters whatever it was given (LOG-2):
 *
 *   time=2026-11-22T08:00:00.123Z level=info event=ready address=127.0.0.1 port=8443
 *
 * What is logged is the caller's choice; no customer data may be given to it. */
#ifndef FB_POSIX_PORT_H
#define FB_POSIX_PORT_H

#include "fieldbook/port.h"

enum { LOG_LINE_BYTES_MAX = 1024 };

typedef struct posix_log {
    int fd;
    fb_level level; /* lines above it are dropped */
} posix_log;

/* Clock, randomness, and warnings and errors on standard error. Valid for ever; any thread. */
const fb_port *fb_port_posix(void);

/* The same with the caller's log, which must outlive the port. NULL: no log at all. */
fb_port fb_port_posix_to(const posix_log *log);

/* "error", "warn", "info" or "debug". */
const char *log_level_name(fb_level level);
/* FB_E_ENUM when the name is none of the four. */
FB_MUST_USE fb_code log_level_get(const char *name, fb_level *level_out);

/* One line through the port's log, if it has one and within LOG_LINE_BYTES_MAX. */
void log_line(const fb_port *port, fb_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
