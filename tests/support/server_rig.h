/* server_rig.h - a real listener on a thread, with certificates of its own and a pretended server,
 * and a raw TLS client; for tests/server.
 *
 * What the pretended server does is said by the first word of the body:
 *   echo       answers with the body                   write     commits, then answers the head
 *   big N      answers N bytes                         wait N    answers when a commit came or
 *   slow N     takes N ms in a reader                            after N ms ("news" or "time")
 *   wait late N  the same, and its first look takes 400 ms more to come back
 * Every request that reached it is counted, so that a test can prove that one did not. */
#ifndef FB_TEST_SERVER_RIG_H
#define FB_TEST_SERVER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* check.h has a function of this name */
#include <curl/curl.h>

#include "fieldbook/sync.h"
#include "platform/posix/ca.h"
#include "platform/posix/link_curl.h"
#include "platform/posix/listen.h"

typedef struct rig rig;

/* limits NULL: the defaults with 500 connections. The server's certificate is for 127.0.0.1 and
 * localhost, valid for 30 days. */
rig *rig_start(const listen_limits *limits);
/* Stops the listener as SIGTERM would, waits for its thread, asserts that it ended well. */
void rig_stop(rig *r);
void rig_begin_stop(rig *r);
listener *rig_listener(rig *r);
uint16_t rig_port(const rig *r);
const char *rig_url(const rig *r); /* "https://127.0.0.1:port" */
const char *rig_ca(const rig *r);  /* CA file */
const char *rig_path(rig *r,
                     const char *name); /* below the rig's folder; valid until the next call */
uint32_t rig_seen(const rig *r);        /* requests that reached the server */
uint32_t rig_batches(const rig *r);     /* server_write calls */
uint32_t rig_written(const rig *r);     /* jobs in them */
/* Sign the server's certificate anew (days from not_before_ms, 0: an hour ago). */
void rig_issue(rig *r, const char *name, int64_t not_before_ms, uint32_t days);

/* A request through a link; returns the status, or 0 with *code_out. body_out is filled. */
int rig_ask(fb_link *link, const char *body, char *body_out, size_t body_out_bytes,
            fb_code *code_out);

/* Raw bytes over a verified TLS connection. */
typedef struct raw_line {
    CURL *easy;
    curl_socket_t socket;
} raw_line;
void raw_open(raw_line *line, const rig *r);
/* False when the peer has closed. */
bool raw_send(raw_line *line, const void *data, size_t size);
/* What comes until the peer closes or `ms` pass without a byte; terminated. True: it closed. */
bool raw_get(raw_line *line, char *out, size_t max, int ms);
void raw_close(raw_line *line);

uint64_t rig_now_ms(void);
void rig_sleep_ms(uint32_t ms);

#endif
