/* sim.h - the whole fleet in one thread: devices, server, office, network and disks, from one seed.
 *
 *   main.c     the command line, the summary line
 *   jobs.c     seeds shared out to processes; a process that dies is the seed's failure
 *   plan.c     a seed drawn out: which faults it has, and a list of events, each with a number
 *   shrink.c   the smallest list of events that still breaks the promise
 *   run.c      the events in time, then healing, then the check
 *   image.c     the company and freshly enrolled devices, made once, copied for each seed
 *   world.c     machines: opening, crashing, rebooting; clocks
 *   net.c       messages that are lost, doubled, late, cut
 *   weather.c   links that are bad for a while
 *   people.c    what people do on their devices
 *   faults.c    what breaks: power, disks, memory, clocks
 *   photos.h    photos and signatures: taking, losing, looking for each byte
 *   disaster.c  copies put back: phone backups, clones, torn copies, the server's backups
 *   twin.c      two servers under one address
 *   orders.c    one race, in every order of arrival
 *   stock.c     goods that are sold twice
 *   oldapp.c    apps of the first version
 *   erase.c     a person's data goes, while phones have changes of it
 *   office.c    what the administrator changes: rows, territories, roles, the catalogue
 *   decide.c    work that waits, values that lost, the tray: what people decide
 *   numbers.c   numbers given twice
 *   memo.c      catalogues parsed once
 *   heap.c      SQLite's memory, made to fail
 *   record.c    --history: what happened, for fb-check to judge
 *   check.c     after healing: convergence, verdicts, nothing lost, atomic groups
 *
 * Each seed first draws which faults it has at all (swarm testing), then a chaos phase of planned
 * events, then the faults stop and everything must settle within a bounded simulated time (L1).
 * Nothing reads a real clock or real randomness: the same seed gives the same trace, whose hash is
 * compared over two runs (I18). An event draws its details from its own number: leaving one out
 * does not change another.
 *
 * A device-day is one device for one simulated day in which its person does something 30 times
 * (ACTS_PER_DAY: a third of them visits with an order of 1 to 5 lines, the rest activities, tasks,
 * contacts, tags, changed customers, new customers; each one atomic, synced group) and 12 sync
 * sessions begin (SYNCS_PER_DAY), plus those that follow a restart or a failure.
 *
 * Checked after healing
 *   I1  every replica equals the server's projection for its scope, computed here naively
 *   I2  every group whose call returned OK has a verdict, and what it inserted stands on the server
 *       if the verdict is not a refusal
 *   I4  a group's rows are all there or none
 *   I5  every group has exactly one verdict; the rows it inserted are there once
 *   I9  two documents never have one number; a number is changed on the server (`<number>-2`) only
 *       where two copies of one phone could give it, never once a restored phone has a new life
 *   I16 the text of a person who was erased is in no file of the server or a phone, once everybody
 *       has heard of it and of a backup that holds all; on copies of one phone only in what
 *       earlier lives were answered (erase.c)
 *   L1  every outbox drains, every photo is with the server
 *   D6  what is on hand is what was there less what was accepted, and never below zero
 *   D9  three changes of one column end the same in all orders of arrival; the losers are kept
 *   T9  who follows the second of two servers takes nothing of the first until it is told to
 *   A1  the bytes of every photo whose row stands on the server are there, the very ones that were
 *       taken; a device lets go of its own only when the server or its backup has them
 *   A2  no file with a hash for a name holds anything else
 *   A3  files and what is known of them agree on every device: none without a row, no row without
 *       its file; small pictures are with everybody who sees their row
 *
 * What a disaster may take: groups that a restored phone had saved after its backup and never sent
 * (sim_action.doubt), and groups of which the server held the only copy when it was put back
 * itself; the same of the bytes of photos. Everything else must be there: clones keep all groups of
 * both, a restored server gets again what no backup held. */
#ifndef FB_SIM_H
#define FB_SIM_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "fieldbook/fieldbook.h"
#include "support/company.h"
#include "support/disk_files.h"
#include "support/history.h"
#include "sync-server/server.h"

enum {
    SIM_DEVICES_MAX = 14, /* with clones */
    SIM_PEOPLE_MAX = 10,
    SIM_CUSTOMERS = 8,
    SIM_PRODUCTS = 5,
    SIM_TERRITORIES = 3,
    SIM_FLIGHTS_MAX = 64,
    SIM_RECORDINGS = 32,
    SIM_GROWTHS_MAX = 3,
    SIM_DAMAGED_MAX = 64,
    SIM_PERSONS_MAX = 6,
    SIM_VARIANTS = 2, /* of the company: everyone one device; two devices to a person */
    ACTS_PER_DAY = 30,
    SYNCS_PER_DAY = 12
};

typedef enum sim_kind {
#define X(NAME, printed, ids, chance, function) KIND_##NAME,
#include "sim/kinds.def"
#undef X
    KINDS
} sim_kind;
enum { FAULTS_FIRST = KIND_RACE };

typedef struct sim sim;
typedef struct sim_device sim_device;

typedef struct sim_kind_row {
    const char *name, *ids;
    int chance;
    bool (*strike)(sim *s, sim_device *d);
} sim_kind_row;
extern const sim_kind_row KIND_ROWS[KINDS];

/* ---- plan ---- */

typedef enum sim_class { CLASS_FLEET, CLASS_PARTITION } sim_class;

typedef struct sim_event {
    int64_t at_ms;
    uint32_t index;
    uint8_t kind, device;
} sim_event;

typedef struct sim_options {
    sim_class class;
    int64_t days;
    const char *without; /* names of kinds that no seed has, or "" */
    const char *history; /* a file for fb-check, or NULL */
} sim_options;

typedef struct sim_plan {
    sim_options o;
    uint64_t seed;
    int devices_count, variant;
    bool enabled[KINDS];
    sim_event *events;
    uint32_t events_count, events_room;
} sim_plan;

/* ---- a group the person was told is saved ---- */

typedef struct sim_action {
    int device;
    int64_t gseq;
    uint32_t mark;      /* its number: part of the unique text in one of its rows */
    const char *entity; /* the row that holds it */
    const char *column; /* NULL: a change of a shared column */
    bool doubt; /* it may be there or not: the call failed in a crash, or a disaster took it */
    bool server_only;   /* its device was put back to before it: the server has the only copy */
    uint64_t bytes[2];  /* of its photo and of the small picture: content_make; 0: none */
    bool number_shared; /* another life of this series may have given its number: numbers.c */
    bool bytes_doubt, bytes_server_only; /* as above, of the bytes */
    int stock;                           /* of which goods were sold: stock.c */
    int64_t sold;                        /* how many; less than 0: came back */
} sim_action;

/* A contact that is erased some time: erase.c. */
typedef struct sim_person {
    fb_id id, customer;
    int64_t since_ms;
    bool erased;
} sim_person;

typedef struct sim_arm {
    uint32_t count;
    uint64_t random;
} sim_arm;

typedef enum flight_kind { FLIGHT_REQUEST, FLIGHT_REPLY } flight_kind;
typedef struct sim_flight {
    bool used;
    flight_kind kind;
    int device;
    uint64_t number;  /* 0: nobody waits for the answer */
    int64_t recorded; /* its number in the history */
    int64_t due_ms;
    char *body;
    size_t size;
    char path[96], authorization[160];
    bool zstd, asks; /* asks: for a chunk of a pack */
    bool photo;      /* it is the lane's */
    bool second;     /* to or from the second server: twin.c */
    bool stale;      /* a proxy's, of an earlier request */
    int status;
    uint32_t retry_ms;
} sim_flight;

typedef enum sim_follows { FOLLOWS_NOBODY, FOLLOWS_FIRST, FOLLOWS_SECOND } sim_follows;

struct sim_device {
    sim *world;
    int number;
    char machine[16], path[32];
    fb_id user;
    bool manager;
    fb_db *db;
    fb_sync *sync;
    fb_lane *lane;
    bool lane_turn; /* the session has come to the lane of photos */
    fb_port port;
    uint64_t random; /* own stream for fb_port.random */
    int64_t clock_skew_ms, boot_ms;
    int64_t dark_until_ms;                     /* crashed, or suspended, until */
    int64_t full_until_ms, read_only_until_ms; /* its disk; 0: neither */
    bool suspended;
    bool session;    /* a sync is going on; the next step is due at wake_ms */
    int64_t wake_ms; /* in flight: the time-out */
    bool in_flight;
    bool connected;   /* it had an answer since the last failure: a connection is kept alive */
    bool unreachable; /* it is connecting in vain; known at wake_ms */
    uint64_t flight_number; /* the request whose reply counts */
    uint32_t day_requests;  /* sent on the day `day` */
    int64_t day;
    fb_code taken;   /* what became of the last answer */
    bool answered;   /* a reply was taken since the last DONE */
    uint32_t rounds; /* complete syncs since the faults stopped */
    sim_arm arms[KINDS];
    uint64_t heap_in;         /* the n-th allocation in the next call fails; 0: none */
    sim_flight kept;          /* the last reply, in a proxy's cache */
    sim_kind weather;         /* its link is bad in this way ... */
    int64_t weather_until_ms; /* ... until */
    uint32_t weather_period_ms;
    bool torn_back; /* a torn copy was put back: it may count files that were let go before it */
    bool has_backup, backup_torn; /* "bakN" holds a copy of its files, taken when ... */
    int backup_actions;           /* ... so many actions had happened */
    bool number_shared, number_waits, number_twice; /* numbers.c */
    char life[33];
    bool cloned;     /* it is one of two copies in use */
    bool must_enrol; /* it, or the server, was put back to before it was enrolled */
    bool blocked;
    bool damaged;         /* a page of its database was, and may not have been touched since */
    int64_t old_until_ms; /* its app is an old one: oldapp.c */
    bool meets_anew;
    sim_follows follows; /* which of two servers: twin.c */
};

/* One machine's files, as set up. */
typedef struct sim_image sim_image;
typedef struct sim_company {
    sim_image *image;
    fb_id users[SIM_PEOPLE_MAX], customers[SIM_CUSTOMERS], products[SIM_PRODUCTS],
        territories[SIM_TERRITORIES], prices[SIM_PRODUCTS], stocks[SIM_PRODUCTS];
} sim_company;

struct sim {
    const sim_plan *plan;
    uint64_t seed, random;
    int64_t now_ms; /* true time */
    int64_t ticked_ms;
    bool trace, healing;
    uint64_t fired[KINDS];
    crash_vfs *vfs;
    fb_files files; /* the same disks, for the bytes of photos */
    server *srv;
    server_reader *reader;
    server *twin; /* a second server under the same address, or NULL */
    server_reader *twin_reader;
    int64_t twin_until_ms;
    store *admin;     /* the administrator's connection, while the server is up */
    sqlite3 *look;    /* the same file by plain SQL */
    uint64_t offices; /* times it was opened: ids of its own within one millisecond */
    store *slow;      /* a report that holds its snapshot ... */
    int64_t slow_until_ms;
    fb_port server_port;
    int64_t server_dark_until_ms, server_full_until_ms;
    uint64_t server_random, server_heap_in;
    bool commit_fails; /* a sync fails while the next groups are taken */
    int poison;        /* the server still dies so often over poison_device's groups */
    int poison_device;
    sim_device devices[SIM_DEVICES_MAX];
    int devices_count;
    const sim_company *company;
    sim_company own;   /* made in this life, where it is recorded */
    history *recorder; /* or NULL */
    bool recorded;     /* its devices are known to the recorder */
    sim_flight flights[SIM_FLIGHTS_MAX], recordings[SIM_RECORDINGS];
    uint64_t flights_count, requests, sessions, recordings_count;
    sim_action *actions;
    int actions_count, actions_room;
    uint32_t marks;
    int selling;     /* the goods that are being sold */
    bool has_backup; /* machine "srvbak" holds a verified copy of the server's files ... */
    bool has_older;  /* ... and "srvold" the one before */
    int64_t backup_ms, older_ms;
    sim_person persons[SIM_PERSONS_MAX];
    int persons_count, person;          /* person: who is being erased */
    int erase_rounds;                   /* of what follows a backup, in the end */
    int growths;                        /* modules added to the catalogue */
    char damaged[SIM_DAMAGED_MAX][160]; /* pictures that were struck on devices */
    int damaged_count;
    bool blobs_damaged;  /* a photo on the server's disk is not what it was */
    bool server_suspect; /* put back by hand: the next start must refuse */
    bool emptied;        /* put back to before any device was enrolled */
    digest hash;         /* of the trace */
    int64_t healed_ms;   /* how long it took until everything was quiet */
    uint32_t violations;
    char why[400];
};

/* plan.c */
void plan_make(sim_plan *p, uint64_t seed, const sim_options *o);
void plan_free(sim_plan *p);
uint64_t mix64(uint64_t a, uint64_t b);

/* image.c */
void companies_make(sim_company *all); /* all[SIM_VARIANTS]; ends with companies_free */
/* The company and so many enrolled devices in this world; the server and they are down then. */
void company_build(sim *s, sim_company *k, int variant, int devices);
void company_copy(sim *s, sim_company *all); /* the plan's variant into the files of this world */
void companies_free(sim_company *all);
_Noreturn void setup_failed(const char *what, fb_code rc);

/* run.c */
/* What one life came to: all that the sums need. */
typedef struct sim_result {
    uint64_t seed, fired[KINDS], groups, sessions, requests, device_days;
    int64_t healed_ms;
    uint32_t violations;
    digest hash;
    char why[400];
} sim_result;
/* keep[index]: the event happens; NULL: all do. */
void sim_run(sim *s, const sim_plan *p, const bool *keep, sim_company *all, bool trace);
uint64_t sim_random(sim *s, uint64_t below);
bool sim_chance(sim *s, unsigned percent);
void sim_trace(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_violation(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One seed: the plan, the life, every hundredth one twice (I18). */
void seed_run(uint64_t seed, const sim_options *o, sim_company *all, sim_result *out);

/* jobs.c */
/* Runs the seeds in so many processes; tells of each as it ends. */
void jobs_run(int64_t from, int64_t to, int jobs, const sim_options *o, sim_company *all,
              void (*ended)(void *ctx, const sim_result *r), void *ctx);

/* shrink.c */
/* Finds a small list of events that breaks the same promise and prints the command that shows it.
 */
void shrink(uint64_t seed, const sim_options *o, const char *why, sim_company *all);

/* world.c */
void world_open(sim *s, sim_company *all);
void world_close(sim *s);
bool server_alive(sim *s);
bool server_sound(sim *s); /* the office works on a sound machine only */
void server_boot(sim *s);
fb_code server_start(sim *s, const char *path, server **srv, server_reader **reader);
void server_down(sim *s);
bool device_alive(const sim_device *d);
void device_boot(sim_device *d);
sim_device *device_new(sim *s, int like); /* one more machine for the same person; NULL: no room */
void device_down(sim_device *d);          /* handles closed after a crash */
/* The app ends itself and starts again: its database was said to be damaged. */
void device_restart(sim_device *d);
void machines_tend(sim *s);         /* notices crashes, reboots what is due, enrols anew */
int64_t machines_due(const sim *s); /* when tending is needed next */
void machines_heal(sim *s);
store *world_store_open(const char *path);
fb_port device_port(sim_device *d);

/* enrol.c */
/* False: its file was found damaged, and it was opened anew. */
bool device_enrol(sim *s, sim_device *d);
bool device_enrol_again(sim_device *d);
/* One whole sync over a link that never fails. FB_E_BUSY: it did not come to its end. */
fb_code direct_sync(server *srv, server_reader *reader, fb_db *db);

/* faults.c */
void faults_heal(sim *s); /* a look at every database that was damaged */
void faults_tend(sim *s); /* disks that somebody made room on, or mounted again */

/* net.c */
void net_deliver(sim *s); /* what is due */
int64_t net_due(const sim *s);
void device_sync_step(sim_device *d);
void net_drop_all(sim *s);
/* Everybody's, but that copies of phones come one after the other, in turns of their own from 1 on:
 * side by side they take the new lives from each other (E_FORK says so, and people are told to
 * remove one). False: nobody's turn. */
bool sessions_begin(sim *s, int turn);
bool arm_take(sim_device *d, sim_kind kind); /* it lay in wait: now it strikes */
/* weather.c */
bool weather_stops(sim_device *d, bool up, size_t bytes);
/* No new connection comes about: the phone knows after its time-out that nothing went out. */
bool weather_parts(sim_device *d);

/* heap.c: SQLite's memory */
void heap_install(void);
void heap_fail_after(uint64_t allocations); /* 0: never */
bool heap_failed(void);

/* record.c: nothing happens where nothing is recorded */
void record_open(sim *s);
void record_close(sim *s);
void record_time(sim *s);
void record_server(sim *s);
void record_save(sim_device *d);
void record_saved(sim_device *d, fb_code code);
int64_t record_send(sim_device *d, const fb_link_request *q); /* its number in the history */
void record_arrive(sim *s, const sim_flight *f);
void record_reply(sim *s, const sim_flight *f, const server_reply *reply);
void record_take(sim_device *d, const sim_flight *f, const fb_link_response *r, fb_code code);
bool record_leaves_out(sim_kind kind);

/* memo.c */
void memo_clear(void);

/* disaster.c */
void disaster_heal(sim *s); /* the operator and the help desk finish their work */
void epoch_new(sim *s, const char *path);
void server_confirm(sim *s); /* the operator: this is the server from now on */

/* twin.c */
void twin_tend(sim *s);
void twin_close(sim *s);
bool twin_is_reached(const sim *s); /* by the next request */
void twin_taken(sim_device *d, bool second, fb_code code);
/* Is the device of the epoch of the server in that file, by what its own file says? */
bool epoch_is_of(const sim_device *d, const char *server_path);

/* office.c */
void office_heal(sim *s);
void office_grow(sim *s); /* the newest catalogue again, after a restore */

/* erase.c */
void erase_list_back(sim *s); /* behind files that were put back */
bool erase_heal(sim *s);      /* everybody has to come once more */
void erase_check(sim *s);

/* people.c */
void mark_text(const sim *s, uint32_t mark, char out[40]);
typedef fb_code (*act)(sim_device *d, const fb_id *customer, sim_action *a, const char *mark);
/* One group; false: nobody was told that it is saved. */
bool act_do(sim_device *d, act what, const fb_id *customer);
bool customer_pick(sim_device *d, fb_id *out); /* one that this device sees */

/* photos.c: nothing happens in a life without photos */
bool photos_have(const sim *s);
void photos_watch(sim *s); /* from now on no device lets go of what nobody else has */
fb_code lane_open(sim_device *d);
/* The device is put back to when so many actions had happened. */
void photos_device_lost(sim *s, int device, int actions);
/* The server goes back to its backup, and to what stands in its folder of photos. */
void photos_server_lost(sim *s);
void photos_backup(sim *s, store *db);
void photos_put_back(sim *s);
void photos_aside(sim *s); /* while the server's other files are replaced */
void photos_aside_back(sim *s);
void photos_heal(sim *s);      /* the operator looks at every file, the apps start again */
void photos_heal_look(sim *s); /* everybody looks at every picture */
bool photos_settled(sim_device *d);
void photos_check(sim *s, sqlite3 *master);

/* oldapp.c */
void old_app_request(sim_device *d, sim_flight *f);
void old_app_reply(sim_device *d, sim_flight *f);

/* stock.c */
void stock_make(sim_company *k, company *c);
void stock_check(sim *s, sqlite3 *master, const uint8_t *marks);

/* numbers.c */
/* Another phone, or another life, has its series. */
void numbers_copied(sim_device *d, bool for_ever);
void numbers_leave(sim_device *d);  /* this life ends: it is put back */
void numbers_reborn(sim_device *d); /* has it a life of its own since? */
void numbers_check(sim *s, sqlite3 *master);

/* check.c */
sqlite3 *open_file(sim *s, const char *path);
int64_t number(sqlite3 *db, const char *sql, const char *text);
/* How often each mark stands in this database; marks+1 counters, freed by the caller. */
uint8_t *marks_count(sim *s, sqlite3 *db);
void check_all(sim *s);

#define X(NAME, printed, ids, chance, function) bool function(sim *s, sim_device *d);
#include "sim/kinds.def"
#undef X

#endif
