/* tls_inside.h - what tls.c shares with tls_bytes.c; nobody else includes it. */
#ifndef FB_FAULT_CUT_TLS_INSIDE_H
#define FB_FAULT_CUT_TLS_INSIDE_H

#include <pthread.h>

#include "fault/cut/cut.h"
#include "platform/posix/link_curl.h"
#include "platform/posix/listen.h"
#include "platform/posix/port.h"
#include "support/fleet.h"

/* A server on a real listener in a folder of its own, and the proxy in front of it. */
typedef struct wire {
    const cut_options *o;
    cut_counters *n;
    char folder[40], master[64], replica[64], ca[64], ca_key[64], cert[64], key[64], url[48];
    posix_log quiet;
    fb_port port, hasty; /* hasty: the server's, for whom a second lasts 20 ms: its limit of rate is
                            not the subject */
    server *srv;
    store *admin;
    company company;
    listener *l;
    pthread_t thread;
    proxy *p;
    fb_id user, manager, customer;
    fb_db *db;
    int64_t marks;
} wire;

fb_link *wire_link(wire *w);
fb_db *wire_open(wire *w, const char *path);
/* A code for this person; the caller clears it. */
void wire_code(wire *w, const fb_id *user, buf *out);
/* One sync over a new connection. */
fb_code wire_sync(wire *w, fb_db *db, fb_sync_report *report);

/* Attachments' pieces, packs' chunks, GET /v1/health (tls_bytes.c). */
void tls_lane_cuts(wire *w);
void tls_pack_cuts(wire *w);
void tls_health_cuts(wire *w);

#endif
