/* soak.h - real processes under real faults: fieldbookd, several phones, a network of our own.
 *
 *   main.c     the command line and the summary line
 *   run.c      set-up, chaos until the time is over, healing, judgement
 *   company.c  what IT imports first, and the devices that enrol
 *   jobs.c     what people do: each job is a process of its own (save, sync, check)
 *   phone.c    the process that saves: the library in a program, a line of acknowledgements a group
 *   book.c     what was acknowledged and when it had been synchronised; what a disaster may take
 *   faults.c   each kind of faults.def: how it begins and how it ends
 *   copies.c   backups and phone folders that are put back
 *   proxy.c    the network between phone and server; flow.c: bytes that wait in it
 *   portal.c   the proxy's own TLS: captive portals, another certificate
 *   server.c   the server's process: begun, looked at, ended
 *   disk.c     disks that fill, hosts.c: network namespaces, proc.c: processes
 *   judge.c    after healing, from outside: the databases' files, counted with SQL of our own
 *
 * The harness is one thread that sleeps until a process ends or a moment comes; the proxy is a
 * process beside it that reads its orders from shared memory. What the faults are, their order and
 * what people do comes from the seed; the instants are the machine's.
 *
 *   SOK-1  a group counts as saved when the process that saved it wrote so after the call returned,
 *          into a file that no fault touches
 *   SOK-2  a fault is counted when it had its effect (a process was there to be killed, bytes were
 *          cut), not when it was ordered
 *   SOK-3  nothing waits by the clock for something that can be seen to happen; deadlines only
 *          decide when waiting has become a failure */
#ifndef FB_SOAK_H
#define FB_SOAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
    DEVICES_MAX = 32,
    PATH_BYTES = 700,
    MARKER_BYTES = 32,
    CUSTOMERS_EACH = 4,
    PRODUCTS = 6,
    MS = 1000, /* milliseconds in a second */
    /* A client gives up a dead line after 30 s and an exchange after its own timeout. */
    JOB_LIMIT_MS = 150 * MS,
    READY_LIMIT_MS = 30 * MS,
    FDS_GROWTH_MAX = 24,      /* readers' and packs' databases open when they are first needed */
    RSS_KIB_MAX = 600 << 10,  /* a sanitizer's shadow and quarantine included */
    WAL_BYTES_MAX = 64 << 20, /* while a query holds an old state */
    WAL_BYTES_AT_REST_MAX = 16 << 20,
};

/* ---- faults ---- */

typedef enum fault_class {
    CLASS_KILL,
    CLASS_STOP,
    CLASS_NET,
    CLASS_CUT,
    CLASS_FULL,
    CLASS_OTHER,
    CLASSES
} fault_class;
typedef enum fault_need { NEED_NOTHING, NEED_TMPFS, NEED_NETNS } fault_need;
typedef enum fault_kind {
#define X(NAME, printed, class, needs, seconds) FAULT_##NAME,
#include "soak/faults.def"
#undef X
    FAULTS,
    FAULT_NONE = FAULTS
} fault_kind;

typedef struct fault_row {
    const char *name;
    fault_class class;
    fault_need needs;
    int seconds_min;
} fault_row;
extern const fault_row FAULT_ROWS[FAULTS];

/* ---- random numbers: the plan's, never the product's ---- */

typedef struct dice {
    uint64_t state;
} dice;
uint64_t dice_next(dice *d);
uint32_t dice_below(dice *d, uint32_t n); /* 0..n-1 */
uint32_t dice_between(dice *d, uint32_t low, uint32_t high);

/* ---- the network ---- */

typedef enum lane_mode {
    LANE_CLEAN,
    LANE_DELAY,     /* a: ms */
    LANE_JITTER,    /* a: ms at most, each piece its own */
    LANE_RATE,      /* a: bytes a second */
    LANE_CUT_UP,    /* a: bytes of a connection until it is closed */
    LANE_CUT_DOWN,  /* a: bytes */
    LANE_RESET,     /* a: bytes down until the connection is reset */
    LANE_HALF_OPEN, /* a: bytes down, then none arrives and nobody is told */
    LANE_BLACKHOLE, /* a: bytes up, then none arrives in either direction */
    LANE_PORTAL_PLAIN,
    LANE_PORTAL_HTML,
    LANE_PORTAL_MOVED,
    LANE_OTHER_CERT,
} lane_mode;

/* One device's way to the server; shared with the proxy's process. */
typedef struct lane {
    atomic_int mode;
    atomic_uint a;
    atomic_uint struck;      /* connections on which the mode had its effect */
    atomic_uint reset_order; /* counts orders to reset every connection */
    atomic_uint connections;
    atomic_ulong up_bytes, down_bytes;
} lane;

typedef struct proxy_files {
    const char *cert, *key, *other_cert, *other_key;
} proxy_files;

/* A listening socket on any free port. */
int proxy_listen(const char *address, uint16_t *port_out);
/* In a process of its own: carries connections of listeners[i] to the server as lanes[i] says,
 * until it is killed. */
_Noreturn void proxy_run(lane *lanes, int count, const int *listeners, const char *server_address,
                         uint16_t server_port, const proxy_files *files);

/* ---- the book ---- */

typedef enum group_state { GROUP_UNSURE, GROUP_SAVED, GROUP_FAILED } group_state;
enum {
    PART_VISIT = 1,
    PART_ORDER = 2,
    PART_PAYMENT = 4,
    PART_ACTIVITY = 8,
    PART_PHOTO = 16,
    PARTS_COUNT = 5
};

typedef struct group {
    int device, number;
    unsigned parts;
    int64_t order_minor, payment_minor;
    int lines;
    group_state state;
    int64_t saved_at, synced_at; /* ticks of the book, 0: not yet */
    bool forgotten;              /* its phone was put back to before it */
    bool excused;                /* a disaster may have taken it */
    /* what the judge found */
    int found[PARTS_COUNT], found_lines;
    bool in_tray;
} group;

typedef struct book {
    group *groups; /* owned */
    size_t count, capacity;
    int64_t tick;
    FILE *log; /* every event, append only */
} book;

/* ---- the run ---- */

typedef enum job_kind { JOB_NONE, JOB_SAVE, JOB_SYNC, JOB_WAIT, JOB_CHECK } job_kind;
enum { SLOT_APP, SLOT_WORKER, SLOTS };

typedef struct job {
    job_kind kind;
    pid_t pid;
    int pidfd;
    int64_t started_ms, stopped_ms; /* stopped_ms: how long it stood still */
    int64_t book_tick;              /* at its start */
    int killed_by;                  /* the fault that killed it, or FAULT_NONE */
    char out[PATH_BYTES], err[PATH_BYTES];
} job;

typedef struct soak_device {
    int index;
    bool is_manager;
    char user[8], folder[PATH_BYTES], db[PATH_BYTES], acks[PATH_BYTES], copy[PATH_BYTES];
    char url[128], direct_url[128];
    job jobs[SLOTS];
    int64_t next_job_ms[SLOTS];
    dice dice;
    int next_group;
    long acks_read;          /* bytes of the file of acknowledgements */
    bool copied;             /* a copy of its folder stands in `copy` */
    int64_t copy_tick;       /* the book's, when it was made */
    fault_kind net, process; /* what is wrong with it just now */
    int process_slot;
    int64_t process_job_ms; /* when the job began that it is about */
    unsigned struck_before;
    bool disk_full;
    pid_t host;       /* holds its network namespace, 0: none */
    int address_last; /* last number of its address */
    bool frozen;      /* no job begins */
} soak_device;

typedef struct server_state {
    pid_t pid;
    int pidfd;
    bool wanted, ready;
    int64_t started_ms, restart_ms_max;
    fault_kind fault;
    int fds_at_rest, fds_max;
    long rss_kib_max, wal_bytes_max;
    int starts;
    long files_limit; /* as it was */
    pid_t host;
} server_state;

typedef struct timer {
    int64_t at_ms;
    fault_kind kind; /* it ends then */
    int device;
} timer;
enum { TIMERS_MAX = 256 };

typedef struct options {
    int64_t seconds;
    uint64_t seed;
    int devices;
    bool keep, hosts;
    const char *folder;
} options;

typedef struct soak {
    options o;
    char folder[PATH_BYTES], home[PATH_BYTES], shelf[PATH_BYTES], programs[PATH_BYTES];
    char server_conf[PATH_BYTES], server_log[PATH_BYTES];
    bool tmpfs, netns;
    uint16_t server_port;
    const char *server_address, *proxy_address;
    lane *lanes; /* shared memory */
    pid_t proxy;
    server_state server;
    soak_device devices[DEVICES_MAX + 1]; /* the last one is the manager's */
    int devices_count;
    book book;
    dice dice;
    fault_kind deck[FAULTS];
    int deck_count, deck_at;
    unsigned fired[FAULTS];
    timer timers[TIMERS_MAX];
    int timers_count;
    int64_t begin_ms, end_ms, next_fault_ms, next_look_ms, next_office_ms, next_long_ms;
    int64_t backup_tick; /* the book's, when the newest backup began */
    unsigned backups, connections_before, office_changes;
    pid_t reader; /* holds the server's database in a read transaction */
    unsigned lost, doubled, violations, jobs_done;
    unsigned refusals[64]; /* codes with which jobs failed, see jobs.c */
} soak;

int64_t now_ms(void);
/* One line on standard error and in the log; counts. */
void violation(soak *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note(soak *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What the harness itself cannot do. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* proc.c */
typedef struct start {
    pid_t host;            /* whose network it is in, 0: ours */
    const char *out, *err; /* files; NULL: /dev/null */
    bool append;
} start;
pid_t proc_start(const soak *s, const start *how, const char *const *argv);
int proc_pidfd(pid_t pid);
int proc_wait(pid_t pid); /* exit code, 128 + signal */
/* -1 while it runs; a deadline that passes is -1 too */
int proc_wait_until(pid_t pid, int64_t deadline_ms);
int proc_run(const soak *s, const char *const *argv, const char *out, const char *err);
void proc_must(const soak *s, const char *const *argv);
int proc_fds(pid_t pid);
long proc_rss_kib(pid_t pid);
void proc_judge_left(soak *s);
char *file_text(const char *path); /* owned by the caller; "" when there is none */
int64_t file_bytes(const char *path);
void wait_ms(int64_t ms);

/* disk.c */
#define SERVER_DISK "size=384m,nr_inodes=20000"
#define PHONE_DISK "size=64m,nr_inodes=5000"
bool disk_prepare(void); /* a mount namespace of our own */
bool disk_mount(const char *folder, const char *limit);
bool disk_fill(const char *folder, bool inodes);
void disk_free(const char *folder, const char *limit);
void leave_disks(soak *s); /* unmounts them */
void folder_make(const char *path);
void folder_remove(const char *path);
bool folder_copy(const soak *s, const char *from, const char *to);

/* hosts.c */
bool hosts_prepare(soak *s);
pid_t host_make(soak *s, int number);
bool host_roam(soak *s, soak_device *d);
bool host_link(soak *s, const soak_device *d, bool up);
void hosts_release(pid_t host);

/* company.c */
void company_make(soak *s);
void devices_enrol(soak *s);

/* server.c */
void server_begin(soak *s); /* does not wait */
void server_await(soak *s); /* until it is ready */
void server_look(soak *s);  /* sizes, and whether it still runs */
void server_end(soak *s);   /* SIGTERM, must end well */
void server_ended(soak *s, int exit_code);

/* jobs.c */
void job_begin(soak *s, soak_device *d, int slot, job_kind kind);
void job_choose(soak *s, soak_device *d, int slot);
void job_end(soak *s, soak_device *d, int slot);
bool job_sync_is_quiet(const job *j, bool *complete_out);
void refusal_count(soak *s, const char *code); /* a failure that a person was told of */
void refusals_print(const soak *s);

/* book.c */
void book_init(book *b, const char *path);
group *book_add(book *b, int device, int number);
group *book_find(book *b, int device, int number);
void marker_of(const group *g, char out[MARKER_BYTES]);
bool marker_get(const char *text, int *device, int *number);
void book_take_acks(soak *s, soak_device *d);
void book_synced(soak *s, const soak_device *d, int64_t started_tick);
void book_phone_restored(soak *s, const soak_device *d);
void book_server_restored(soak *s);

/* faults.c */
void faults_shuffle(soak *s);
bool fault_begin(soak *s, fault_kind kind);
void fault_end(soak *s, const timer *t);
void faults_end_all(soak *s);
void fault_later(soak *s, int64_t in_ms, fault_kind kind, int device);

/* copies.c */
bool backup_make(soak *s);
bool server_restore(soak *s);
bool phone_copy(soak *s, soak_device *d);
bool phone_put_back(soak *s, soak_device *d);

/* phone.c: the other faces of this program */
int phone_main(int argc, char **argv);
int reader_main(int argc, char **argv);

/* run.c */
void soak_run(soak *s);

/* judge.c */
void judge_run(soak *s);

#endif
