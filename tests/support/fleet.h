/* fleet.h - a server and devices in one process, over files in memory: for path tests.
 *
 * No network, no threads, a clock that stands still unless moved. Everything aborts the test with a
 * message when a step that must work does not. */
#ifndef FB_TESTS_FLEET_H
#define FB_TESTS_FLEET_H

#include "fieldbook/fieldbook.h"
#include "support/company.h"
#include "support/crash_vfs.h"
#include "support/history.h"
#include "support/mem_files.h"
#include "sync-server/server.h"

enum { FLEET_DEVICES_MAX = 8 };

typedef struct fleet fleet;

typedef struct fleet_device {
    fleet *world;
    fb_db *db;
    fb_port port;
    char path[40];
    uint64_t random;
    fb_sync_report report; /* of the last sync */
    bool enrolled;
    int64_t answer; /* the request whose reply it holds, for the recorder; 0: none */
    fb_link_response answered;
} fleet_device;

struct fleet {
    crash_vfs *vfs;
    mem_files *files;
    server *srv;
    server_reader *reader;
    server_job *job;
    store *admin; /* the administrator's connection */
    company company;
    fb_port port;
    int64_t now_ms;
    uint64_t random;
    fleet_device devices[FLEET_DEVICES_MAX];
    int devices_count;
    /* the company: one region, two territories, REP users U1 (T1) and U2 (T2), manager M1, product
     * P1 at 10.00 CNY, customers C1 (T1) and C2 (T2) */
    fb_id region, territories[2], users[2], manager, product, customers[2];
    fb_text catalog;           /* the server's release, borrowed; empty: the built-in one */
    uint32_t sync_interval_ms; /* of the server; kept like packing */
    uint32_t gone_days;        /* likewise */
    server_blob_limits blobs;  /* likewise */
    server_packing packing;    /* of the server; kept over fleet_open, like heard */
    /* Sees every request before the server does, or NULL. */
    void (*asked)(void *ctx, const fb_link_request *q);
    void *asked_ctx;
    /* Sees every answer before the device does, and may change it; or NULL. */
    void (*answered)(void *ctx, const fb_link_request *q, fb_link_response *r);
    void *answered_ctx;
    void (*heard)(void *ctx, const char *line); /* log lines of every port, or NULL */
    void *heard_ctx;
    history *recorder; /* writes down what happens, or NULL; set before fleet_open */
};

void fleet_open(fleet *f);
/* The same over files that are there already: server/master.db and dev1/replica.db, dev2/...; of
 * the company only the administrator's connection is known. */
void fleet_go_on(fleet *f, crash_vfs *take, int64_t now_ms, int devices);
void fleet_close(fleet *f);
/* The server ends and starts again, with f->catalog as its release. */
void fleet_server_restart(fleet *f);
/* The server's process ends; starts again on what is there. */
void fleet_server_stop(fleet *f);
void fleet_server_start(fleet *f);
/* The server's background work until nothing is left. */
void fleet_build(fleet *f);
/* A new device of the user, enrolled and not synced. */
fleet_device *fleet_device_new(fleet *f, const fb_id *user);
/* One exchange of a sync; *done_out: there is nothing left. Its code. */
fb_code fleet_exchange(fleet_device *d, bool *done_out, fb_error *err);
/* The device's process ends and starts again. */
void fleet_device_reopen(fleet_device *d);
/* A new device of the user, enrolled and synced. */
fleet_device *fleet_device_add(fleet *f, const fb_id *user);
/* The same replica enrolled anew by a new code of this user; its code. */
fb_code fleet_enrol_again(fleet_device *d, const fb_id *user, fb_error *err);
/* Close the replica and open it again. */
void fleet_reopen(fleet_device *d);
void fleet_open_again(fleet_device *d); /* after fb_db_close */
/* A closed file with other bytes. */
void fleet_put_file(fleet *f, const char *name, const void *data, size_t size);
/* The phone's database is gone; its second copy is not. Closed before, opened after. */
void fleet_lose_database(fleet_device *d);
/* A network that never fails: straight into the server. */
fb_link fleet_link(fleet_device *d);
/* Sync until complete. */
void fleet_sync(fleet_device *d);
/* One sync attempt; its code. */
fb_code fleet_try_sync(fleet_device *d, fb_error *err);
/* Around a call that saves: for the recorder. */
void fleet_saving(fleet_device *d);
void fleet_saved(fleet_device *d, fb_code code);
void fleet_must(fb_code code, const fb_error *err, const char *what);
/* One integer or text by SQL on the device's replica. */
int64_t fleet_number(fleet_device *d, const char *sql);
void fleet_text(fleet_device *d, const char *sql, char *out, size_t size);

#endif
