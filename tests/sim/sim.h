/* sim.h - the whole fleet in one thread: devices, server, network and disks, all from one seed.
 *
 *   main.c    --seeds A-B, --seed N with its trace, the summary line
 *   world.c   machines: opening, crashing, rebooting; the company; virtual clocks
 *   net.c     a network that loses, doubles, delays (and so reorders) and cuts
 *   act.c     what people and faults do next: one step, chosen by the seed
 *   disaster.c  copies put back: phone backups, clones, torn copies, the server's backups
 *   office.c  what the administrator changes: rows, territories, roles, the catalogue
 *   check.c   after healing: convergence, verdicts, nothing lost, atomic groups
 *
 * Each seed first draws which faults it has at all (swarm testing), then a chaos phase of random
 * steps, then the faults stop and everything must settle within a bounded number of rounds (L1).
 * Nothing reads a real clock or real randomness: the same seed gives the same trace, whose hash is
 * printed.
 *
 * Checked after healing
 *   I1  every replica equals the server's projection for its scope, computed here naively
 *   I2  every group whose call returned OK has a verdict, and what it inserted stands on the server
 *       if the verdict is not a refusal
 *   I4  a group's rows are all there or none
 *   I5  every group has exactly one verdict; the rows it inserted are there once
 *   L1  every outbox drains
 *
 * What a disaster may take: groups that a restored phone had saved after its backup and never sent
 * (sim_action.doubt), and groups of which the server held the only copy when it was put back
 * itself. Everything else must be there: clones keep all groups of both, a restored server gets
 * again what no backup held. */
#ifndef FB_SIM_H
#define FB_SIM_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "fieldbook/fieldbook.h"
#include "support/company.h"
#include "support/crash_vfs.h"
#include "sync-server/server.h"

enum {
    SIM_DEVICES_MAX = 8,
    SIM_CUSTOMERS = 8,
    SIM_PRODUCTS = 5,
    SIM_TERRITORIES = 3,
    SIM_FLIGHTS_MAX = 64,
    SIM_ACTIONS_MAX = 4096,
    SIM_GROWTHS_MAX = 3
};

typedef enum sim_fault {
    FAULT_LOSE_REQUEST,
    FAULT_LOSE_REPLY,
    FAULT_DOUBLE_REQUEST,
    FAULT_DELAY,
    FAULT_CUT_REPLY,
    FAULT_CUT_REQUEST,
    FAULT_PARTITION,
    FAULT_CRASH_DEVICE,
    FAULT_CRASH_SERVER,
    FAULT_DISK_FULL_DEVICE,
    FAULT_DISK_FULL_SERVER,
    FAULT_SYNC_ERROR,
    FAULT_CLOCK_JUMP,
    FAULT_TERRITORY_MOVE,
    FAULT_SERVER_EDIT,
    FAULT_PHONE_RESTORED,
    FAULT_PHONE_TORN,
    FAULT_PHONE_CLONED,
    FAULT_SERVER_BACKUP,
    FAULT_SERVER_RESTORED,
    FAULT_SERVER_PUT_BACK,
    FAULT_MEMBERSHIP,
    FAULT_ASSIGNMENT,
    FAULT_ROLE,
    FAULT_CATALOGUE,
    FAULTS
} sim_fault;
extern const char *const FAULT_NAMES[FAULTS];

typedef struct sim sim;

/* One group the person was told is saved. */
typedef struct sim_action {
    int device;
    int64_t gseq;
    char marker[40];    /* unique text inside one of its rows */
    const char *entity; /* the row that holds it */
    const char *column;
    bool doubt; /* it may be there or not: the call failed in a crash, or a disaster took it */
    bool server_only; /* its device was put back to before it: the server has the only copy */
} sim_action;

typedef struct sim_device {
    sim *world;
    int number;
    char machine[16], path[32], user_key[8];
    fb_id user;
    bool manager;
    fb_db *db;
    fb_sync *sync;
    fb_port port;
    int64_t clock_skew_ms;
    int64_t wake_ms; /* no sync step before */
    bool partitioned;
    int64_t dark_until_ms; /* crashed until */
    bool in_flight;
    bool answered;                /* a reply was taken since the last DONE */
    uint32_t rounds_healed;       /* complete syncs since the faults stopped */
    uint64_t flight_number;       /* the request whose reply counts */
    uint64_t random;              /* own stream for fb_port.random */
    bool has_backup, backup_torn; /* "bakN" holds a copy of its files, taken when ... */
    int backup_actions;           /* ... so many actions had happened */
    bool must_enrol;              /* it, or the server, was put back to before it was enrolled */
} sim_device;

typedef enum flight_kind { FLIGHT_REQUEST, FLIGHT_REPLY } flight_kind;
typedef struct sim_flight {
    bool used;
    flight_kind kind;
    int device;
    uint64_t number;
    int64_t due_ms;
    char *body;
    size_t size;
    char path[24], authorization[160];
    bool zstd;
    int status;
    uint32_t retry_ms;
} sim_flight;

struct sim {
    uint64_t seed, random;
    int64_t now_ms; /* true time */
    bool trace, healing;
    bool faults[FAULTS];
    uint64_t fired[FAULTS];
    crash_vfs *vfs;
    server *srv;
    server_reader *reader;
    fb_port server_port;
    int64_t server_dark_until_ms;
    uint64_t server_random;
    sim_device devices[SIM_DEVICES_MAX];
    int devices_count;
    fb_id customers[SIM_CUSTOMERS], products[SIM_PRODUCTS], territories[SIM_TERRITORIES];
    sim_flight flights[SIM_FLIGHTS_MAX];
    uint64_t flights_count;
    sim_action *actions;
    int actions_count;
    uint64_t markers;
    bool has_backup;     /* machine "srvbak" holds a verified copy of the server's files */
    int growths;         /* modules added to the catalogue */
    bool server_suspect; /* put back by hand: the next start must refuse */
    digest hash;         /* of the trace */
    uint32_t violations;
    char why[400];
};

/* main.c */
uint64_t sim_random(sim *s, uint64_t below);
bool sim_chance(sim *s, unsigned percent);
void sim_trace(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_violation(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool sim_fault_draw(sim *s, sim_fault fault,
                    unsigned percent); /* enabled, not healing, and drawn: counts it */

/* world.c */
void world_open(sim *s);
void world_close(sim *s);
bool server_alive(sim *s);
void server_boot(sim *s);
void server_down(sim *s);
bool device_alive(sim_device *d);
void device_boot(sim_device *d);
sim_device *device_new(sim *s, int like); /* one more machine for the same person; NULL: no room */
bool device_enrol_again(sim_device *d);
void device_down(sim_device *d); /* handles closed after a crash */
void machines_tend(sim *s);      /* notices crashes, reboots what is due */
store *world_store_open(sim *s); /* an administrator's connection; NULL while the server is down */

/* net.c */
void net_step(sim *s);
void device_sync_step(sim_device *d);
void net_drop_all(sim *s);

/* act.c */
void act_step(sim *s);
void fault_step(sim *s);

/* disaster.c */
void disaster_step(sim *s);
void disaster_heal(sim *s); /* the operator and the help desk finish their work */

/* office.c */
void office_step(sim *s);
void office_heal(sim *s);
void office_grow(sim *s); /* the newest catalogue again, after a restore */

/* check.c */
sqlite3 *open_file(sim *s, const char *path);
int64_t number(sqlite3 *db, const char *sql, const char *text);
void check_all(sim *s);

#endif
