/* check.h - what the judge knows while it reads a history once, line by line. README.md has the
 * format.
 *
 *   read.c      JSON lines              table.c   names, hash tables, arrays
 *   sha256.c    SHA-256                 main.c    options, files, summary
 *   judge.c     which event goes where; violations; which invariants had evidence
 *   company.c   entities, users, devices, memberships; who may see a row
 *   rows.c      the server's rows: one of each, and a hash of each version
 *   groups.c    groups as saved, their numbers, their operations
 *   model.c     the reference model: what a group must do to the rows
 *   commits.c   the log: numbers, epochs (I9), order (I6), verdicts (I5), origin (I13)
 *   effects.c   a commit against the model (I1, I2, I3, I4, I5, I8)
 *   sessions.c  what devices showed and took (I7, I12, I13, I3)
 *   money.c     sums, floors, balances (I11)
 *   audit.c     the audit log (I15) and time (I14)
 *   ends.c      final states (I1, I2, I3, I10)
 *   proofs.c    measured evidence (I12, I16, I17, I18) and progress (L1, L2, L3)
 *
 * Names are numbers (name_of). Nothing here knows the product. */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include "read.h"
#include "table.h"

typedef enum invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
    I11,
    I12,
    I13,
    I14,
    I15,
    I16,
    I17,
    I18,
    L1,
    L2,
    L3,
    INVARIANTS
} invariant;

typedef enum check_name {
#define X(name, invariant, text) CHECK_##name,
#include "checks.def"
#undef X
    CHECKS
} check_name;

enum { COLUMNS_MAX = 256, NEVER = 0 };
#define TIME_UNKNOWN INT64_MIN

/* --- company ---- */

typedef enum policy {
    POLICY_SRV, /* the server's own: not judged */
    POLICY_LWW,
    POLICY_DELTA,
    POLICY_MAX,
    POLICY_MIN,
    POLICY_SM,
    POLICY_MAN,
    POLICY_FIRST,  /* SIG, RES: mine only where nobody else changed it */
    POLICY_REFUSED /* SW, AO, SEQ: no update */
} policy;

typedef struct column_info {
    name_id name;
    policy policy;
    bool personal;
} column_info;

typedef enum scope_kind {
    SCOPE_GLOBAL,
    SCOPE_TERRITORY,
    SCOPE_USER,
    SCOPE_PARENT,
    SCOPE_LINK
} scope_kind;

typedef struct scope_term {
    scope_kind kind;
    int column;
    name_id parent; /* entity */
} scope_term;

typedef struct step {
    int column;
    name_id from, to;
} step;

typedef struct entity_info {
    name_id name;
    column_info *columns;
    scope_term *terms;
    step *steps;
    int at, charge;                              /* columns, -1: none */
    int link_key, link_ter, link_user, link_end; /* link_key -1: no link entity */
} entity_info;

typedef struct person {
    name_id name;
    bool all, revoked;
    name_id *territories, *ever;
} person;

typedef struct phone {
    name_id name, inc;
    uint32_t user; /* index */
    bool revoked, promoted, drained, dumped, compared;
    name_id ep;
    int64_t head, last_saved, syncs;
    uint32_t life; /* grows when it is put back to a copy: what it had shown no longer counts */
    uint32_t *top; /* groups whose effect it still shows on top of its base */
} phone;

/* --- rows ---- */

/* A value: NULL is null; else 'i' or 's' and the bytes. */
typedef struct value {
    char *p;
    uint32_t n;
} value;

typedef struct row {
    name_id entity, id; /* entity: index + 1 */
    int64_t ver;
    int64_t born; /* its first version; 0: it was never there */
    bool alive, erased;
    uint32_t count;
    value *values;   /* by the entity's columns */
    int64_t *times;  /* COLUMNS_MAX: when each was captured last; NULL: none was changed */
    int64_t made_at; /* the same of all others; TIME_UNKNOWN: put back by a restore */
    uint32_t *links;
    uint32_t mark;
} row;

typedef struct change {
    name_id entity, id;
    int64_t ver;
    bool gone;
    value *values;
    uint32_t count;
    bool used; /* the model expected it */
} change;

/* --- groups ---- */

typedef enum group_code {
    CODE_NONE,
    CODE_APPLIED,
    CODE_MERGED,
    CODE_ALIAS,
    CODE_REJECTED,
    CODE_HELD,
    CODE_BLOCKED,
    CODES
} group_code;

typedef struct group {
    uint64_t hash; /* of its line */
    name_id inc;
    uint32_t device, user;
    int64_t gseq, cid, line, syncs;
    int64_t decided_at_cid; /* the newest commit when it was decided */
    int64_t held_at_cid;    /* the same, when it was held that was settled since */
    name_id ep;             /* whose rows the device showed when it was saved; 0: none */
    uint8_t code, told;
    bool in_scope, withdrawn, excused, standing;
    bool was_held, undone; /* a late reply may still say what was true before */
    bool at_edge; /* answered without a commit, at the last commit of the backup that was put back:
                     in it, or not */
    bool pending, kept, in_tray; /* found so in a final dump */
    uint32_t older;              /* index + 1: another one with the same number, of a copy */
    char *text;                  /* until a backup holds its commit */
    uint32_t text_bytes;
} group;

typedef enum op_kind { OP_INSERT, OP_UPDATE, OP_DELETE, OP_DELTA } op_kind;

typedef struct op {
    op_kind kind;
    uint32_t entity; /* index */
    name_id id;
    int64_t base_ver;
    int count;
    int columns[COLUMNS_MAX];
    json base[COLUMNS_MAX], mine[COLUMNS_MAX];
} op;

/* --- money ---- */

typedef enum rule_kind { RULE_SUM, RULE_FLOOR, RULE_BALANCE } rule_kind;
typedef struct money_rule {
    rule_kind kind;
    uint32_t entity, child;
    int column, by, ref, add;
    int64_t min;
    int plus[8];
    int plus_count;
} money_rule;

typedef struct touched { /* by the commit that is being read */
    size_t rule;
    name_id key; /* parent row, or value of the column `by` */
} touched;

/* The transaction of the log that is being read. */
typedef struct commit {
    bool open, office;
    int64_t cid, at_ms, line;
    uint32_t group; /* index + 1, 0 none */
    change *changes;
} commit;

typedef struct dump {
    bool open, server, scope;
    bool comparable; /* it stands where the server stands now */
    uint32_t device, mark;
} dump;

typedef struct audit_hash {
    unsigned char bytes[32];
} audit_hash;

typedef struct sampling { /* sums for a straight line through what was measured */
    name_id who;
    int64_t n, first_ms, last_ms, first_bytes;
    double x, y, xx, xy;
} sampling;

typedef struct judge {
    const char *file;
    int64_t line, events;
    int64_t violations;
    bool by_invariant[INVARIANTS], evidence[INVARIANTS], without[CHECKS];
    void (*report)(void *ctx, int64_t line, check_name check, const char *detail);
    void *report_ctx;
    char error[400]; /* the file is no history */

    name_set names;
    entity_info *entities;
    person *users;
    phone *devices;
    table entity_at, user_at, device_at;

    row *rows;
    table row_at, version_at; /* (entity, id) -> row; (row, ver) -> low half of its hash */
    uint32_t mark;
    table alias_at, birth_at; /* id -> id; id of an inserted row -> group */
    bool conflicts;           /* there is an entity for conflict records */

    group *groups;
    uint32_t *decided;       /* with a commit, in its order */
    size_t forgotten;        /* of these, the texts that a backup made needless */
    table group_at, line_at; /* (inc, g) -> group; hash -> group */
    table verdict_at;        /* (inc, g) -> hash of the verdict's bytes, 0 unknown */
    table inc_at;            /* inc -> greatest g decided */
    table call_at, unsure_at;

    commit tx;
    int64_t *commit_at_ms; /* by cid */
    int64_t cid, last_commit_at_ms;
    name_id epoch;
    name_id *epochs;
    int64_t *epoch_cids; /* the commit up to which each has what was before it */
    bool restoring;

    table request_at, reply_at, seen_at, taken_delete_at;

    money_rule *rules;
    table sum_at;
    touched *touched;

    audit_hash *audit_hashes;
    uint8_t *audited;               /* by cid */
    int64_t audit_last, audit_time; /* audit_last -1: after a restore, unknown */
    table promised_at;              /* action -> how many entries are due */

    dump dump;
    table left_out; /* rows of groups on top of the device that is dumped */
    bool server_dumped;

    int64_t time_ms, quiet_ms, quiet_limit_ms;
    table cap_at;
    table *traces; /* hash of seed and build -> hash of the trace; the caller's, over many files */
    sampling *samplings;
} judge;

/* judge.c */
/* traces: of all files that are judged together; the caller clears it. */
void judge_begin(judge *j, const char *file, table *traces);
bool judge_line(judge *j, str line); /* false: no history, j->error says why */
bool judge_end(judge *j);
void judge_free(judge *j);
void broken(judge *j, check_name check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool refuse(judge *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *check_words(check_name check);
const char *check_id(check_name check);
invariant check_invariant(check_name check);
const char *invariant_id(invariant i);
const char *invariant_needs(invariant i);
/* Members of events: false after an error was set. */
bool member_name(judge *j, const event *ev, const char *member, name_id *out);
bool member_int(judge *j, const event *ev, const char *member, int64_t *out);
int64_t member_or(const event *ev, const char *member, int64_t otherwise);
const char *say(judge *j, name_id name);

/* company.c */
bool on_entity(judge *j, const event *ev);
bool on_link(judge *j, const event *ev);
bool on_user(judge *j, const event *ev);
bool on_device(judge *j, const event *ev);
bool on_member(judge *j, const event *ev);
bool on_access(judge *j, const event *ev);
bool member_entity(judge *j, const event *ev, uint32_t *out);
bool member_device(judge *j, const event *ev, const char *member, uint32_t *out);
int column_of(judge *j, uint32_t entity, str name); /* adds one that is unknown, as SRV */
bool row_in_scope(judge *j, uint32_t user, const row *r);
bool entity_is_scoped(const judge *j, const row *r);
bool device_has_access(const judge *j, uint32_t device);

/* rows.c */
row *row_find(judge *j, uint32_t entity, name_id id);
row *row_make(judge *j, uint32_t entity, name_id id);
bool values_read(judge *j, uint32_t entity, const event *ev, value **out, uint32_t *count,
                 bool *given);
void values_free(value *values, uint32_t count);
value value_copy(value v);
value value_read(const json *v); /* owned by the caller */
bool value_same(value a, value b);
bool value_int(value v, int64_t *out);
name_id value_name(judge *j, value v);
value row_value(const row *r, int column);
void row_write(judge *j, row *r, int64_t ver, value *values, uint32_t count); /* takes them */
void row_times_forget(row *r);
int64_t row_time(const row *r, int column); /* when it was captured; TIME_UNKNOWN */
void row_delete(judge *j, row *r, int64_t ver);
/* 1 as that version was, 0 not so, -1 unknown version */
int version_same(judge *j, const row *r, int64_t ver, const value *values, uint32_t count);

/* groups.c */
bool on_save(judge *j, const event *ev);
bool on_saved(judge *j, const event *ev);
bool on_failed(judge *j, const event *ev);
bool on_unsure(judge *j, const event *ev);
bool on_found(judge *j, const event *ev);
bool on_withdraw(judge *j, const event *ev);
bool on_open(judge *j, const event *ev);
bool on_rollback(judge *j, const event *ev);
bool on_rebirth(judge *j, const event *ev);
bool on_clone(judge *j, const event *ev);
group *group_find(judge *j, name_id inc, int64_t gseq);
group *group_of_line(judge *j, const char *hex);
group_code code_of(str word);
bool code_stands(uint8_t code); /* applied, merged, alias */
typedef bool (*op_visit)(void *ctx, const op *o);
/* false: a visitor stopped it, or the text is no group. */
bool group_ops(judge *j, const char *text, size_t bytes, op_visit visit, void *ctx);
json group_head(const group *g, const char *member);
void group_forget_text(group *g);

/* model.c */
typedef struct wish { /* what must stand after the commit */
    uint32_t entity;
    name_id id;
    bool exists, existed, touched, fresh;
    value *values;
    uint32_t count;
    uint8_t asked[COLUMNS_MAX]; /* 1 written by an op, 2 a counter */
} wish;
typedef struct clash {
    uint32_t entity;
    name_id id;
    int column;
    bool mine_won;
    value mine, theirs;
} clash;
typedef struct plan {
    wish *wishes;
    clash *clashes;
    bool revives, inserts_again;
} plan;
bool model_run(judge *j, const group *g, int64_t received_at_ms, plan *out);
void plan_free(plan *p);

/* commits.c */
bool on_epoch(judge *j, const event *ev);
bool on_have(judge *j, const event *ev);
bool on_restored(judge *j, const event *ev);
bool on_commit(judge *j, const event *ev);
bool on_change(judge *j, const event *ev);
bool on_decide(judge *j, const event *ev);
bool on_settle(judge *j, const event *ev);
bool on_alias(judge *j, const event *ev);
bool on_backup(judge *j, const event *ev);
void commit_close(judge *j, bool answered);
/* What the person saw. After a restore commits have the numbers of lost ones again: a version
 * beyond what all epochs share is none of those that there are now, and has no time (0). */
bool base_stands(const judge *j, const group *g, int64_t base_ver);
int64_t base_time(const judge *j, const group *g, int64_t base_ver);
uint64_t verdict_bytes(const judge *j, name_id inc, int64_t gseq);

/* effects.c */
void commit_judge(judge *j, const group *g, group_code code);
void picks_judge(judge *j);
void changes_apply(judge *j);
void scope_judge(judge *j, const group *g);

/* sessions.c */
bool on_show(judge *j, const event *ev);
bool on_view(judge *j, const event *ev);
bool on_list(judge *j, const event *ev);
bool on_send(judge *j, const event *ev);
bool on_arrive(judge *j, const event *ev);
bool on_reply(judge *j, const event *ev);
bool on_row(judge *j, const event *ev);
bool on_take(judge *j, const event *ev);
bool on_told(judge *j, const event *ev);
bool on_promote(judge *j, const event *ev);
bool on_synced(judge *j, const event *ev);
void session_reset(judge *j, uint32_t device);

/* money.c */
bool on_rule(judge *j, const event *ev);
void money_row(judge *j, uint32_t entity, name_id id, const value *before, uint32_t before_count,
               const value *after, uint32_t after_count);
void money_judge(judge *j);
void money_restart(judge *j);
void money_fractions(judge *j, const json *v);

/* audit.c */
bool on_audit(judge *j, const event *ev);
bool on_witness(judge *j, const event *ev);
void audit_end(judge *j);

/* ends.c */
bool on_dump(judge *j, const event *ev);
bool on_has(judge *j, const event *ev);
bool on_holds(judge *j, const event *ev);
bool on_dumped(judge *j, const event *ev);
void ends_judge(judge *j);

/* proofs.c */
bool on_mac(judge *j, const event *ev);
bool on_canary(judge *j, const event *ev);
bool on_erase(judge *j, const event *ev);
bool on_forge(judge *j, const event *ev);
bool on_sanitizer(judge *j, const event *ev);
bool on_sample(judge *j, const event *ev);
bool on_cap(judge *j, const event *ev);
bool on_trace(judge *j, const event *ev);
bool on_quiet(judge *j, const event *ev);
bool on_drained(judge *j, const event *ev);
void proofs_end(judge *j);

#endif
