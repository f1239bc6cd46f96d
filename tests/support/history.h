/* history.h - writes down what a fleet does, for fb-check to judge (tests/check/README.md).
 *
 * Looks from outside: at the bytes on the wire, at the files, and through a hook that SQLite calls
 * for each row written by any connection to the server's file. Nothing of the product is changed or
 * asked, and nothing is written into its files: a run is the same with and without it.
 *
 *   history_open      before the server's file is created, so that no commit is missed
 *   history_server    after anything that may have committed: commits, changes, verdicts, audit
 *   history_*         what the devices do
 *   history_close     after the last dump
 * One at a time in a process (SQLite's hook for new connections has no context). A failure to write
 * aborts: a history with a hole would accuse the innocent. */
#ifndef FB_TESTS_HISTORY_H
#define FB_TESTS_HISTORY_H

#include "fieldbook/fieldbook.h"

typedef struct history history;

typedef struct history_options {
    const char *path;   /* the file to write */
    const char *name;   /* of the run */
    const char *server; /* the server's database */
    const char *vfs;    /* of all databases; NULL: the default one */
    uint64_t seed;
} history_options;

history *history_open(const history_options *o);
void history_close(history *h);
/* True time of the events to come; never decreases. */
void history_time(history *h, int64_t now_ms);

/* Everything the server committed since the last look; false when its file cannot be read now
 * (it is down): what is not known yet comes with the next look. */
bool history_server(history *h);

/* A device by its number, enrolled for the user: again after enrolling anew. */
void history_device(history *h, int device, const char *path, const fb_id *user);
/* A call that may save groups: before it, and after it with what it returned. `gone`: the device
 * went down in it, so nobody was told. */
void history_save(history *h, int device);
void history_saved(history *h, int device, fb_code code, bool gone);

/* A request as it leaves; its number for the calls below. */
int64_t history_send(history *h, int device, const fb_link_request *q);
void history_arrive(history *h, int64_t q);
/* What the server answers, after it looked (history_server). */
void history_reply(history *h, int64_t q, int device, const fb_link_response *r);
/* The device was given the reply, and took it or not. */
void history_take(history *h, int64_t q, int device, const fb_link_response *r, fb_code code);
/* What a person sees of one row now. */
void history_show(history *h, int device, const char *entity, const fb_id *id);
void history_synced(history *h, int device);

void history_crash(history *h, int device); /* -1: the server */
void history_reopen(history *h, int device);
/* The faults stop; the first call counts. */
void history_quiet(history *h, int64_t rtt_ms, int64_t chunks);
/* Outbox empty, all seen: after history_quiet, and the first call for each device counts. It began
 * with the device's first request after the faults stopped. */
void history_drained(history *h, int device);
/* What something takes, against its declared bound. Written when it is more than ever before. */
void history_bound(history *h, int device, const char *what, int64_t value, int64_t max);
/* What was not given back since history_open: allocations that nobody points to any more, files.
 * Written by builds with sanitizers only, which end at the first report. */
void history_memory(history *h);
/* Of the program that runs: hashes over its file, chained. */
const char *history_build(void);
/* Any other event: members as JSON text, without the braces. */
void history_note(history *h, const char *event, const char *members);

void history_dump_server(history *h);
void history_dump_device(history *h, int device, bool scope);

#endif
