/* port.h - what the app lends to Fieldbook: a clock, randomness, a log.
 *
 * platform/posix provides fb_port_posix(); tests and simulators provide their own. Pointers
 * are called only inside calls that the app made, on that thread. */
#ifndef FIELDBOOK_PORT_H
#define FIELDBOOK_PORT_H

#include "fieldbook/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fb_level {
    FB_LOG_ERROR = 1,
    FB_LOG_WARN = 2,
    FB_LOG_INFO = 3,
    FB_LOG_DEBUG = 4
} fb_level;

typedef struct fb_port {
    void *ctx;
    /* Milliseconds that never go back while the device is up. */
    uint64_t (*mono_ms)(void *ctx);
    /* Milliseconds UTC by the device's clock; may be wrong, nothing is ordered by it. */
    int64_t (*wall_ms)(void *ctx);
    /* Fill size bytes from a cryptographic source; anything but FB_OK stops the caller. */
    fb_code (*random)(void *ctx, void *out, size_t size);
    /* One line, no newline, "event key=value ...", no customer data. May be NULL. */
    void (*log)(void *ctx, fb_level level, const char *line);
} fb_port;

#ifdef __cplusplus
}
#endif
#endif
