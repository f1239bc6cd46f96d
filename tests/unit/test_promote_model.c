/* test_promote_model.c - PRO-1 against a model: one device, a server of 200 lines, and bad luck.
 *
 * The server holds rows in an array, gives every change a position, answers groups with verdicts
 * drawn at random, and writes pages by the rules of protocol.md (echo rule, reset, moving
 * entries). Replies get lost, come twice, come in pieces; the device is closed and opened; the
 * server is restored from a backup; the device takes a new incarnation. After every step each row
 * must be what the model says: the server's rows at the last complete page with the pending groups
 * on top, in order. A failure names its seed. */
#include <stdlib.h>

#include "sql/sql.h"
#include "support/lab.h"

#ifndef DB
#define DB lab_path("promote_model")
#endif

enum { ROWS = 700, GROUPS = 700, OPS = 4, NONE = -1 };

typedef struct mrow {
    bool there;
    int name, note; /* numbers of texts, 0 none */
    int64_t qty;
    int parent;
} mrow;

typedef struct mop {
    op_kind kind;
    int row;
    int column; /* 0 name, 1 note, 3 parent */
    int64_t value;
    int64_t seen; /* the row's version on the device when captured */
} mop;

typedef enum mstate { M_PENDING, M_HELD, M_OFF } mstate;

typedef struct mgroup {
    mop ops[OPS];
    int count;
    int uid;
    mstate state;
    int from, to;      /* alias by its verdict, from NONE when there is none */
    bool refused;      /* told so and in effect */
    bool decided;      /* was held, and told what a person decided */
    verdict_code told; /* newest verdict the device was given */
} mgroup;

typedef struct manswer {
    verdict_code code;
    bool plain, late; /* late: a held one decided afterwards, not told yet */
    int alias_from, alias_to;
    int64_t cid;
} manswer;

typedef struct mserver {
    mrow rows[ROWS];
    int64_t pos[ROWS];   /* position of the newest change, 0 never */
    int64_t plain[ROWS]; /* gseq of the own plain group that made it, else 0 */
    int alias[ROWS];
    int64_t next_pos, cid, applied, backed_up;
    manswer answers[GROUPS]; /* by gseq */
    bool decided[GROUPS];    /* by uid: an earlier incarnation delivered it */
    manswer by_uid[GROUPS];
} mserver;

typedef struct model {
    lab l;
    uint64_t seed;
    mserver server, backup;
    mrow base[ROWS];
    int alias[ROWS]; /* as the device knows it */
    mgroup groups[GROUPS];
    int64_t last, acked, settled, based;
    int next_row, next_text, next_uid, epochs;
    bool reset_due;       /* the server must start anew */
    bool blind;           /* old base until the reset page: rows are not compared */
    int alias_kept[ROWS]; /* of incarnations before */
    unsigned promotions, lost, verdicts[VERDICT_BLOCKED + 1];
} model;

static model m; /* one at a time: too large for the stack */

static unsigned dice(unsigned n)
{
    return (unsigned)(lab_random(&m.l) % n);
}

/* --- operations, the same on both sides ---------------------------------------------- */

static int mapped(const int *alias, int row)
{
    while (row >= 0 && alias[row] >= 0) {
        row = alias[row];
    }
    return row;
}

/* False: the op found no row. */
static bool apply_op(mrow *rows, const int *alias, const mop *op)
{
    int at = mapped(alias, op->row);
    mrow *r = &rows[at];
    if (op->kind == OP_INSERT) {
        if (at == op->row && !r->there) {
            *r = (mrow){.there = true, .name = (int)op->value, .parent = mapped(alias, op->column)};
        }
        return true;
    }
    if (!r->there) {
        return false;
    }
    if (op->kind == OP_DELETE) {
        r->there = false;
    } else if (op->kind == OP_DELTA) {
        r->qty += op->value;
    } else if (op->column == 0) {
        r->name = (int)op->value;
    } else if (op->column == 1) {
        r->note = (int)op->value;
    } else {
        r->parent = mapped(alias, (int)op->value);
    }
    return true;
}

static void expected(mrow *out)
{
    memcpy(out, m.base, sizeof m.base);
    for (int64_t g = 1; g <= m.last; g++) {
        const mgroup *one = &m.groups[g];
        if (one->state == M_HELD || (one->state == M_PENDING && g > m.based)) {
            for (int i = 0; i < one->count; i++) {
                (void)apply_op(out, m.alias, &one->ops[i]);
            }
        }
    }
}

/* --- comparing ----------------------------------------------------------------------- */

static int number_of(fb_text t)
{
    return t.size > 1 ? atoi(t.data + 1) : 0;
}

static int row_of(const fb_id *id)
{
    return id_is_none(id) ? NONE : id->b[13] << 16 | id->b[14] << 8 | id->b[15];
}

static void read_rows(mrow *out)
{
    bool row = false;
    memset(out, 0, ROWS * sizeof *out);
    sql_stmt *s =
        sql_prepare(replica_sql(m.l.r), "SELECT id, name, note, qty, parent_id FROM lab_item");
    assert_int_equal(sql_step(s, &row), FB_OK);
    while (row) {
        fb_id id = sql_id(s, 0);
        fb_id parent = sql_id(s, 4);
        mrow *r = &out[row_of(&id)];
        *r = (mrow){.there = true,
                    .name = number_of(sql_text(s, 1)),
                    .note = number_of(sql_text(s, 2)),
                    .qty = sql_int(s, 3),
                    .parent = row_of(&parent)};
        assert_int_equal(sql_step(s, &row), FB_OK);
    }
}

static void compare(const char *step)
{
    static mrow want[ROWS];
    static mrow got[ROWS];
    if (m.blind) {
        return;
    }
    expected(want);
    read_rows(got);
    for (int i = 0; i < m.next_row; i++) {
        const mrow *a = &want[i];
        const mrow *b = &got[i];
        if (a->there != b->there || (a->there && (a->name != b->name || a->note != b->note ||
                                                  a->qty != b->qty || a->parent != b->parent))) {
            fail_msg(
                "seed %llu, after %s: row %d is %d n%d o%d q%lld p%d, wanted %d n%d o%d q%lld p%d",
                (unsigned long long)m.seed, step, i, b->there, b->name, b->note, (long long)b->qty,
                b->parent, a->there, a->name, a->note, (long long)a->qty, a->parent);
        }
    }
}

/* --- the device acts ----------------------------------------------------------------- */

static int some_row(const mrow *rows)
{
    for (int tries = 0; tries < 30 && m.next_row > 0; tries++) {
        int i = (int)dice((unsigned)m.next_row);
        if (rows[i].there) {
            return i;
        }
    }
    return NONE;
}

static fb_value text_value(int number, char room[16])
{
    snprintf(room, 16, "t%d", number);
    return (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(room)};
}

static fb_value ref_value(int row)
{
    return row == NONE ? (fb_value){.kind = FB_KIND_NULL}
                       : (fb_value){.kind = FB_KIND_ID, .u.id = lab_id((unsigned)row)};
}

static int64_t seen_version(int row)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_id id = lab_id((unsigned)row);
    arena *memory = arena_new(1 << 20);
    assert_int_equal(row_read(m.l.r, m.l.item, &id, memory, values), FB_OK);
    arena_free(memory);
    return values[cat_ver_column(m.l.item)].u.i;
}

static fb_code capture_op(const mop *op, fb_error *err)
{
    char room[16];
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    fb_id id = lab_id((unsigned)op->row);
    const int columns[] = {m.l.name, m.l.note, m.l.qty, m.l.parent};
    switch (op->kind) {
    case OP_INSERT:
        values[0] = (fb_value){.kind = FB_KIND_ID, .u.id = id};
        values[m.l.name] = text_value((int)op->value, room);
        values[m.l.qty] = (fb_value){.kind = FB_KIND_INT, .u.i = 0};
        values[m.l.parent] = ref_value(op->column);
        return capture_insert(m.l.r, m.l.item, values, err);
    case OP_DELETE:
        return capture_delete(m.l.r, m.l.item, &id, err);
    case OP_DELTA:
        return capture_delta(m.l.r, m.l.item, &id, m.l.qty, op->value, err);
    case OP_UPDATE:
        values[0] = op->column == 3 ? ref_value((int)op->value) : text_value((int)op->value, room);
        return capture_update(m.l.r, m.l.item, &id, &columns[op->column], values, 1, err);
    }
    return FB_E_BUG;
}

/* An op on the visible rows, or false when there is none to change. */
static bool draw_op(const mrow *rows, mop *op)
{
    static const op_kind kinds[] = {OP_INSERT, OP_INSERT, OP_UPDATE, OP_UPDATE,
                                    OP_UPDATE, OP_DELTA,  OP_DELETE};
    *op = (mop){.kind = kinds[dice(7)],
                .row = some_row(rows),
                .column = (int)dice(2),
                .value = ++m.next_text};
    if (op->row == NONE || (op->kind == OP_INSERT && m.next_row < ROWS - 1)) {
        op->kind = OP_INSERT;
        op->row = m.next_row++;
        op->column = some_row(rows); /* its parent */
        return op->row < ROWS;
    }
    if (op->kind == OP_DELTA) {
        op->value = (int64_t)dice(9) + 1;
    }
    if (op->kind == OP_UPDATE && dice(5) == 0) {
        op->column = 3;
        op->value = some_row(rows);
        return op->value != rows[op->row].parent;
    }
    return op->kind != OP_INSERT;
}

static void device_saves(void)
{
    static mrow rows[ROWS];
    mgroup g = {.uid = m.next_uid, .from = NONE};
    bool keep = dice(10) > 0;
    fb_error err = {.code = FB_OK};
    if (m.last >= GROUPS - 2 || m.next_row >= ROWS - 8 || m.next_uid >= GROUPS - 1) {
        return;
    }
    read_rows(rows);
    lab_begin(&m.l, "lab.act");
    for (int wanted = 1 + (int)dice(OPS); g.count < wanted;) {
        mop op;
        if (!draw_op(rows, &op)) {
            break;
        }
        op.seen = op.kind == OP_INSERT ? 0 : seen_version(op.row);
        if (capture_op(&op, &err) != FB_OK) {
            fail_msg("seed %llu: %s %s", (unsigned long long)m.seed, err.field, err.message);
        }
        (void)apply_op(rows, m.alias, &op);
        g.ops[g.count++] = op;
    }
    if (!keep || g.count == 0) {
        capture_abort(m.l.r);
        return;
    }
    assert_int_equal(lab_commit(&m.l), m.last + 1);
    m.groups[++m.last] = g;
    m.next_uid++;
}

/* --- the server ---------------------------------------------------------------------- */

static void moved(mserver *s, int row, int64_t plain)
{
    s->pos[row] = ++s->next_pos;
    s->plain[row] = plain;
}

static bool is_plain(const mserver *s, const mgroup *g)
{
    for (int i = 0; i < g->count; i++) {
        int row = mapped(s->alias, g->ops[i].row);
        bool mine = false; /* an earlier op of this group made or changed it */
        for (int k = 0; k < i; k++) {
            mine = mine || g->ops[k].row == g->ops[i].row;
        }
        if (!mine && row != g->ops[i].row) {
            return false;
        }
        if (!mine && g->ops[i].kind != OP_INSERT && s->pos[row] != g->ops[i].seen &&
            s->plain[row] == 0) {
            return false;
        }
    }
    return true;
}

/* Apply all or nothing. */
static bool server_applies(mserver *s, const mgroup *g, int64_t plain)
{
    static mrow rows[ROWS];
    memcpy(rows, s->rows, sizeof rows);
    for (int i = 0; i < g->count; i++) {
        if (!apply_op(rows, s->alias, &g->ops[i])) {
            return false;
        }
    }
    memcpy(s->rows, rows, sizeof rows);
    for (int i = 0; i < g->count; i++) {
        moved(s, mapped(s->alias, g->ops[i].row), plain);
    }
    return true;
}

static bool server_aliases(mserver *s, const mgroup *g, manswer *a)
{
    int to = some_row(s->rows);
    if (g->count != 1 || g->ops[0].kind != OP_INSERT || to == NONE || to == g->ops[0].row ||
        dice(3) > 0) {
        return false;
    }
    *a = (manswer){
        .code = VERDICT_ALIAS, .alias_from = g->ops[0].row, .alias_to = to, .cid = ++s->cid};
    s->alias[a->alias_from] = to;
    moved(s, to, 0);
    return true;
}

static manswer decide(mserver *s, int64_t gseq, const mgroup *g)
{
    manswer a = {.code = VERDICT_APPLIED};
    unsigned luck = dice(10);
    if (s->decided[g->uid]) {
        a = s->by_uid[g->uid];
        a.plain = false; /* the base holds it already: never put its ops into it again */
        return a;
    }
    if (luck == 0) {
        a.code = VERDICT_REJECTED;
    } else if (luck == 1) {
        a.code = dice(2) == 0 ? VERDICT_HELD : VERDICT_BLOCKED;
    } else if (!server_aliases(s, g, &a)) {
        a.plain = is_plain(s, g);
        if (!server_applies(s, g, a.plain ? gseq : 0)) {
            a = (manswer){.code = VERDICT_REJECTED};
        } else {
            a.cid = ++s->cid;
            a.code = !a.plain && dice(2) == 0 ? VERDICT_MERGED : VERDICT_APPLIED;
        }
    }
    return a;
}

static void server_takes(int64_t upto)
{
    mserver *s = &m.server;
    while (s->applied < upto) {
        int64_t gseq = ++s->applied;
        const mgroup *g = &m.groups[gseq];
        s->answers[gseq] = decide(s, gseq, g);
        s->by_uid[g->uid] = s->answers[gseq];
        s->decided[g->uid] = true;
        m.verdicts[s->answers[gseq].code]++;
    }
}

/* A person in the office works. */
static void server_changes(void)
{
    mserver *s = &m.server;
    int row = some_row(s->rows);
    s->cid++;
    if (row == NONE || (dice(4) == 0 && m.next_row < ROWS - 8)) {
        row = m.next_row++;
        s->rows[row] = (mrow){.there = true, .name = ++m.next_text, .parent = NONE};
    } else if (dice(6) == 0) {
        s->rows[row].there = false;
    } else if (dice(2) == 0) {
        s->rows[row].note = ++m.next_text;
    } else {
        s->rows[row].qty += 100;
    }
    moved(s, row, 0);
}

static void server_decides_held(void)
{
    mserver *s = &m.server;
    for (int64_t g = 1; g <= s->applied; g++) {
        manswer *a = &s->answers[g];
        if (a->code != VERDICT_HELD) {
            continue;
        }
        bool applied = dice(2) == 0 && server_applies(s, &m.groups[g], 0);
        *a = (manswer){.code = applied ? VERDICT_APPLIED : VERDICT_REJECTED, .late = true};
        a->cid = applied ? ++s->cid : 0;
        s->by_uid[m.groups[g].uid] = *a;
        return;
    }
}

/* --- replies ------------------------------------------------------------------------- */

static void put_verdict(buf *out, int64_t gseq, const manswer *a)
{
    char from[FB_ID_TEXT_BYTES];
    char to[FB_ID_TEXT_BYTES];
    if (a->code != VERDICT_ALIAS) {
        reply_verdict(out, gseq, a->code,
                      !a->plain && (a->code == VERDICT_APPLIED || a->code == VERDICT_MERGED));
        return;
    }
    fb_id id = lab_id((unsigned)a->alias_from);
    id_put(&id, from);
    id = lab_id((unsigned)a->alias_to);
    id_put(&id, to);
    struct verdict_alias alias = {T("lab_item"), text_of(from), text_of(to)};
    const verdict_msg v = {
        .gseq = gseq, .code = VERDICT_ALIAS, .echo = true, .aliases = &alias, .aliases_count = 1};
    verdict_put(out, &v);
}

static void put_verdicts(buf *out, int64_t acked)
{
    mserver *s = &m.server;
    for (int64_t g = 1; g <= acked; g++) {
        if (s->answers[g].late) {
            put_verdict(out, g, &s->answers[g]);
        }
    }
    for (int64_t g = acked + 1; g <= s->applied; g++) {
        int64_t to = g;
        if (s->answers[g].code != VERDICT_APPLIED || !s->answers[g].plain) {
            put_verdict(out, g, &s->answers[g]);
            continue;
        }
        while (to < s->applied && s->answers[to + 1].code == VERDICT_APPLIED &&
               s->answers[to + 1].plain && dice(4) > 0) {
            to++;
        }
        verdict_run_put(out, g, to, s->answers[g].cid);
        g = to;
    }
}

static void put_row(buf *out, int row)
{
    char name[16];
    char note[16];
    const mserver *s = &m.server;
    const mrow *r = &s->rows[row];
    if (!r->there) {
        reply_gone(&m.l, out, dice(2) == 0 ? BLOCK_LEAVE : BLOCK_DELETE, (unsigned)row);
        return;
    }
    const int columns[] = {0, m.l.name, m.l.note, m.l.qty, m.l.parent, cat_ver_column(m.l.item)};
    const fb_value values[] = {
        ref_value(row),
        r->name > 0 ? text_value(r->name, name) : (fb_value){.kind = FB_KIND_NULL},
        r->note > 0 ? text_value(r->note, note) : (fb_value){.kind = FB_KIND_NULL},
        {.kind = FB_KIND_INT, .u.i = r->qty},
        ref_value(r->parent),
        {.kind = FB_KIND_INT, .u.i = s->pos[row]}};
    block_head_put(out, m.l.item, BLOCK_ROW, columns, 6);
    row_put(out, m.l.item, columns, 6, values);
}

static int row_at(int64_t pos)
{
    for (int i = 0; i < ROWS; i++) {
        if (m.server.pos[i] == pos) {
            return i;
        }
    }
    return NONE;
}

/* "n<pos>" everyday, "f<pos>" while a reset is being filled: then nothing is left out. */
static bool put_page(buf *out, int64_t settled)
{
    char text[32];
    buf token;
    buf rows;
    buf_init(&token, 100);
    buf_init(&rows, 1 << 22);
    assert_int_equal(stage_token(m.l.r, &token), FB_OK);
    bool reset = m.reset_due || token.size == 0 || dice(60) == 0;
    bool filling = reset || token.data[0] == 'f';
    int64_t pos = reset ? 0 : atoll(buf_cstr(&token) + 1);
    int room = dice(3) == 0 ? (int)dice(4) : ROWS;
    while (pos < m.server.next_pos && room > 0) {
        int row = row_at(++pos);
        bool known = row != NONE && !filling && m.server.plain[row] > settled;
        if (row != NONE && !known && !(filling && !m.server.rows[row].there && reset)) {
            put_row(&rows, row);
            room--;
        }
    }
    bool complete = pos == m.server.next_pos;
    snprintf(text, sizeof text, "%c%lld", filling && !complete ? 'f' : 'n', (long long)pos);
    reply_page(out, text, complete, reset);
    if (reset) {
        reply_rights(&m.l, out);
    }
    buf_put_text(out, buf_text(&rows));
    buf_clear(&token);
    buf_clear(&rows);
    m.reset_due = false;
    return complete;
}

static void told_in_model(void)
{
    for (int64_t g = 1; g <= m.server.applied; g++) {
        manswer *a = &m.server.answers[g];
        if (g > m.acked || (m.groups[g].told == VERDICT_HELD && a->late)) {
            m.groups[g].decided = g <= m.acked;
            m.groups[g].told = a->code;
            a->late = false;
        }
    }
}

/* What the device was told by the verdicts up to `told`. */
static void device_aliases(int64_t told)
{
    memcpy(m.alias, m.alias_kept, sizeof m.alias);
    for (int64_t g = 1; g <= told; g++) {
        if (m.groups[g].from >= 0) {
            m.alias[m.groups[g].from] = m.groups[g].to;
        }
    }
}

static void promoted_in_model(void)
{
    mserver *s = &m.server;
    memcpy(m.base, s->rows, sizeof m.base);
    for (int64_t g = 1; g <= m.acked; g++) {
        mgroup *one = &m.groups[g];
        if (g <= m.settled && one->state != M_HELD) {
            continue; /* what was settled before stays so */
        }
        one->state = one->told == VERDICT_HELD ? M_HELD : M_OFF;
        one->refused = one->told == VERDICT_REJECTED || one->told == VERDICT_BLOCKED;
        if (one->told == VERDICT_ALIAS) {
            one->from = s->answers[g].alias_from;
            one->to = s->answers[g].alias_to;
        }
    }
    device_aliases(m.acked);
    m.blind = false;
    m.settled = m.acked;
    m.based = s->applied;
    m.promotions++;
}

/* One round: the device asks, the server works and answers, the answer may get lost. */
static void sync_once(void)
{
    buf out;
    stage_result got;
    fb_error err = {.code = FB_OK};
    outbox_state box;
    assert_int_equal(outbox_state_get(m.l.r, &box), FB_OK);
    assert_int_equal(box.acked, m.acked);
    assert_int_equal(box.settled, m.settled);
    assert_int_equal(box.last, m.last);
    int64_t pushed = m.acked + (int64_t)dice(6);
    server_takes(pushed < m.last ? pushed : m.last);
    reply_begin(&m.l, &out, m.server.applied, m.server.backed_up, m.server.cid);
    put_verdicts(&out, m.acked);
    bool complete = put_page(&out, m.settled);
    sync_end_put(&out);
    if (dice(4) == 0) {
        m.lost++;
        buf_clear(&out);
        return;
    }
    for (unsigned times = dice(6) == 0 ? 2 : 1; times > 0; times--) {
        if (stage_reply(m.l.r, buf_text(&out), m.l.wall_ms, &got, &err) != FB_OK) {
            fail_msg("seed %llu: %s: %s: %s", (unsigned long long)m.seed, fb_code_name(err.code),
                     err.field, err.message);
        }
        assert_int_equal(got.complete, complete);
    }
    buf_clear(&out);
    told_in_model();
    m.acked = m.server.applied;
    if (complete) {
        promoted_in_model();
    }
}

/* --- disasters ----------------------------------------------------------------------- */

static void server_backs_up(void)
{
    m.server.backed_up = m.server.applied;
    m.backup = m.server;
}

static bool has_mark(int64_t g)
{
    char sql[80];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM fb_meta WHERE key='decided/%lld'",
             (long long)g);
    return lab_count(&m.l, sql) == 1;
}

/* OUT-5: held again, whatever was decided since, unless the backup holds the decision; the server
 * says it again. */
static bool held_again(int64_t backed_up)
{
    bool any = false;
    for (int64_t g = 1; g <= m.last; g++) {
        mgroup *one = &m.groups[g];
        manswer *a = &m.server.answers[g];
        bool marked = one->decided && has_mark(g);
        if (one->decided && !marked && g <= backed_up && a->code == VERDICT_HELD) {
            fail_msg("seed %llu: group %lld was let go of before a backup held its decision",
                     (unsigned long long)m.seed, (long long)g);
        }
        if (g <= backed_up && (one->state == M_HELD || marked)) {
            one->state = M_HELD;
            one->told = VERDICT_HELD;
            one->refused = false;
            a->late = a->code != VERDICT_HELD;
        }
        one->decided = false;
        any = any || one->state == M_HELD;
    }
    return any;
}

/* The reply that tells of it carries a reset page and no verdicts: a device where something is held
 * leaves the page. */
static void server_is_restored(void)
{
    buf out;
    outbox_state box;
    int64_t used = m.server.next_pos;
    m.server = m.backup;
    m.server.next_pos =
        used + 10; /* a version is never given twice, not even by a restored server */
    m.l.epoch = lab_id(0xE00001 + (unsigned)++m.epochs);
    m.reset_due = true;
    assert_int_equal(outbox_state_get(m.l.r, &box), FB_OK);
    reply_begin(&m.l, &out, m.server.applied, m.server.backed_up, m.server.cid);
    bool complete = put_page(&out, box.backed_up);
    complete &= !held_again(box.backed_up);
    stage_result got = reply_take(&m.l, &out);
    assert_true(got.epoch_changed);
    for (int64_t g = box.backed_up + 1; g <= m.last; g++) {
        m.groups[g].from = NONE;
        m.groups[g].told = (verdict_code)0;
        if (m.groups[g].state == M_OFF && !m.groups[g].refused) {
            m.groups[g].state = M_PENDING;
        }
    }
    m.acked = box.backed_up;
    m.settled = m.settled < m.acked ? m.settled : m.acked;
    m.based = m.based < m.acked ? m.based : m.acked;
    device_aliases(m.acked);
    m.blind = true;
    if (complete) {
        promoted_in_model();
    }
}

/* A person has not decided it, or the decision would not be heard: it is sent again. */
static bool still_waits(const mgroup *g)
{
    bool refused = g->told == VERDICT_REJECTED || g->told == VERDICT_BLOCKED;
    return (g->state == M_HELD && !refused) || (g->state == M_PENDING && g->told == VERDICT_HELD);
}

static void device_is_reborn(void)
{
    fb_error err = {.code = FB_OK};
    assert_int_equal(replica_rebirth(m.l.r, &err), FB_OK);
    int64_t last = 0;
    for (int64_t g = 1; g <= m.last; g++) {
        if (g > m.acked) {
            m.groups[++last] = m.groups[g];
        } else if (still_waits(&m.groups[g])) {
            m.groups[++last] = m.groups[g];
            m.groups[last].state = M_PENDING;
            m.groups[last].told = (verdict_code)0;
        }
    }
    m.last = last;
    m.acked = m.settled = m.based = 0;
    memcpy(m.alias_kept, m.alias, sizeof m.alias);
    m.blind = true;
    m.server.applied = m.server.backed_up = 0;
    memset(m.server.plain, 0, sizeof m.server.plain);
    memset(m.server.answers, 0, sizeof m.server.answers);
    m.backup = m.server;
    /* The backup just taken holds the earlier life, and the device is taken to know it; what it
     * does without one is test_replica.c's, and for refusals test_promote.c's. */
    assert_int_equal(sql_exec(replica_sql(m.l.r), "DELETE FROM fb_outbox WHERE state=5"), FB_OK);
    assert_int_equal(sql_exec(replica_sql(m.l.r), "DELETE FROM fb_meta WHERE key GLOB 'decided/*'"),
                     FB_OK);
}

/* --- runs ---------------------------------------------------------------------------- */

static void start(uint64_t seed)
{
    memset(&m, 0, sizeof m);
    m.seed = seed;
    memset(m.server.alias, NONE, sizeof m.server.alias);
    memset(m.alias, NONE, sizeof m.alias);
    memset(m.alias_kept, NONE, sizeof m.alias_kept);
    lab_start(&m.l, DB, seed);
    m.server.cid = 1;
    server_backs_up();
}

static const char *step(bool disasters)
{
    unsigned what = dice(100);
    if (what < 45) {
        device_saves();
        return "a save";
    }
    if (what < 60) {
        server_changes();
        return "a change by others";
    }
    if (what < 88) {
        sync_once();
        return "a sync";
    }
    if (what < 93) {
        lab_reopen(&m.l);
        return "opening again";
    }
    if (what < 97) {
        server_decides_held();
        return "a late decision";
    }
    if (what < 99 || !disasters) {
        server_backs_up();
        return "a backup";
    }
    if (dice(3) > 0) {
        server_is_restored();
        return "a restored server";
    }
    device_is_reborn();
    return "a new incarnation";
}

static void run(uint64_t seed, int steps, bool disasters)
{
    start(seed);
    for (int i = 0; i < steps; i++) {
        const char *done = step(disasters);
        compare(done);
        if (i % 20 == 0) {
            lab_check(&m.l);
        }
    }
    lab_check(&m.l);
    lab_stop(&m.l);
}

static void run_seeds(bool disasters)
{
    unsigned promotions = 0;
    unsigned verdicts[VERDICT_BLOCKED + 1] = {0};
    const char *from = getenv("FB_SEED");
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    const char *count = getenv("FB_SEEDS"); /* how many from FB_SEED on */
    uint64_t seeds = count != NULL ? strtoull(count, NULL, 10) : from != NULL ? 1 : 15;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        run(seed, 250, disasters);
        promotions += m.promotions;
        for (int v = 1; v <= VERDICT_BLOCKED; v++) {
            verdicts[v] += m.verdicts[v];
        }
    }
    for (int v = 1; v <= VERDICT_BLOCKED && from == NULL; v++) {
        assert_true(verdicts[v] > 0);
    }
    assert_true(promotions > 0);
}

static void promote__keeps_PRO_1_for_any_order_of_events(void **state)
{
    (void)state;
    run_seeds(false);
}

static void promote__keeps_PRO_1_over_restored_servers_and_new_incarnations(void **state)
{
    (void)state;
    run_seeds(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promote__keeps_PRO_1_for_any_order_of_events),
        cmocka_unit_test(promote__keeps_PRO_1_over_restored_servers_and_new_incarnations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
