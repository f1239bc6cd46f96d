/* history_server.c - the server's log since the last look: rows from SQLite's hook, the rest from
 * its file. See history.h. */
#include "support/history_inside.h"

#include <stdlib.h>
#include <string.h>

#include "wire/sync_msg.h"

/* One verdict that was not written down yet. */
typedef struct verdict_seen {
    int64_t no, gseq, cid;
    int code;
    bool written;
    char *line; /* NULL: part of a run */
} verdict_seen;

typedef struct look {
    history *h;
    sqlite3 *db;
    verdict_seen *verdicts;
    size_t count;
    int64_t head;
} look;

static fb_id incarnation_of(look *l, int64_t no)
{
    fb_id id = {{0}};
    sqlite3_stmt *q =
        history_query(l->h, l->db, "SELECT incarnation FROM fs_incarnation WHERE no = ?1");
    sqlite3_bind_int64(q, 1, no);
    while (history_row(l->h, q)) {
        id = column_id(q, 0);
    }
    return id;
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* Without the end of the line. */
static char *line_copy(sqlite3_stmt *q, int column)
{
    char *line = strdup((const char *)sqlite3_column_text(q, column));
    if (line != NULL) {
        line[strcspn(line, "\n")] = '\0';
    }
    return line;
}

static void verdict_add(look *l, int64_t no, sqlite3_stmt *q, int64_t from)
{
    int64_t gseq = sqlite3_column_int64(q, 0), upto = sqlite3_column_int64(q, 1);
    int64_t cid = sqlite3_column_int64(q, 2);
    bool plain = sqlite3_column_int(q, 4) != 0;
    for (int64_t g = gseq > from ? gseq : from; g <= upto; g++) {
        l->verdicts = realloc(l->verdicts, (l->count + 1) * sizeof *l->verdicts);
        if (l->verdicts == NULL) {
            history_fail(l->h, "a verdict", "no memory");
        }
        verdict_seen *v = &l->verdicts[l->count++];
        *v = (verdict_seen){.no = no,
                            .gseq = g,
                            .cid = cid > 0 ? cid + (g - gseq) : 0,
                            .code = sqlite3_column_int(q, 3)};
        if (!plain && sqlite3_column_type(q, 5) == SQLITE_TEXT) {
            v->line = line_copy(q, 5);
        }
    }
}

static void verdicts_read(look *l)
{
    sqlite3_stmt *q = history_query(
        l->h, l->db, "SELECT no, incarnation, applied FROM fs_incarnation ORDER BY no");
    while (history_row(l->h, q)) {
        fb_id inc = column_id(q, 1);
        recorded_inc *known = inc_get(l->h, &inc, -1);
        int64_t no = sqlite3_column_int64(q, 0);
        if (sqlite3_column_int64(q, 2) <= known->decided) {
            continue;
        }
        sqlite3_stmt *v = history_query(l->h, l->db,
                                        "SELECT gseq, upto, cid, code, plain, verdict FROM "
                                        "fs_verdict WHERE incarnation = ?1 AND upto > ?2 ORDER BY "
                                        "gseq");
        sqlite3_bind_int64(v, 1, no);
        sqlite3_bind_int64(v, 2, known->decided);
        while (history_row(l->h, v)) {
            verdict_add(l, no, v, known->decided + 1);
        }
        known->decided = sqlite3_column_int64(q, 2);
    }
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* "h": of the line that was sent under this number. */
static void hash_member(history *h, const recorded_inc *known, int64_t gseq)
{
    char hex[65] = "";
    if (gseq > known->lines_count) {
        return;
    }
    for (int i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", known->lines[gseq - 1].b[i]);
    }
    put_text(h, "h", hex);
}

static void held_add(history *h, recorded_inc *known, int64_t gseq)
{
    known->held = realloc(known->held, (size_t)(known->held_count + 1) * sizeof *known->held);
    if (known->held == NULL) {
        history_fail(h, "a held group", "no memory");
    }
    known->held[known->held_count++] = gseq;
}

static void verdict_members(look *l, const fb_id *inc, int64_t gseq, int code, int64_t cid,
                            const char *line)
{
    history *h = l->h;
    recorded_inc *known = inc_get(h, inc, -1);
    put_id(h, "inc", inc);
    put_number(h, "g", gseq);
    put_text(h, "code", verdict_name((verdict_code)code));
    put_number(h, "cid", cid);
    hash_member(h, known, gseq);
    if (line != NULL) {
        put_text(h, "line", line);
    }
    if (code == VERDICT_HELD) {
        held_add(h, known, gseq);
    }
}

static void decide_write(look *l, verdict_seen *v, bool again)
{
    history *h = l->h;
    fb_id inc = incarnation_of(l, v->no);
    recorded_inc *known = inc_get(h, &inc, -1);
    v->written = true;
    if (known->device < 0) {
        return; /* of a device that is not written down */
    }
    event_begin(h, "decide");
    put_device(h, "d", known->device);
    verdict_members(l, &inc, v->gseq, v->code, v->cid, v->line);
    if (again) {
        put_number(h, "again", 1);
    }
    event_end(h);
}

/* Verdicts without a commit, and those that an earlier commit of another number answers. */
static void verdicts_before(look *l, int64_t no, int64_t gseq)
{
    for (size_t i = 0; i < l->count; i++) {
        verdict_seen *v = &l->verdicts[i];
        if (!v->written && v->no == no && v->gseq < gseq) {
            decide_write(l, v, v->cid > 0);
        }
    }
}

static verdict_seen *verdict_find(look *l, int64_t no, int64_t gseq)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->verdicts[i].no == no && l->verdicts[i].gseq == gseq) {
            return &l->verdicts[i];
        }
    }
    return NULL;
}

/* A group that was held and is not any more. */
static void settle_write(look *l, int64_t no, const fb_id *inc, int64_t gseq)
{
    sqlite3_stmt *q = history_query(
        l->h, l->db,
        "SELECT code, cid, verdict FROM fs_verdict WHERE incarnation = ?1 AND gseq = ?2");
    sqlite3_bind_int64(q, 1, no);
    sqlite3_bind_int64(q, 2, gseq);
    while (history_row(l->h, q)) {
        int code = sqlite3_column_int(q, 0);
        char *line = sqlite3_column_type(q, 2) == SQLITE_TEXT ? line_copy(q, 2) : NULL;
        recorded_inc *known = inc_get(l->h, inc, -1);
        for (int i = 0; i < known->held_count && code != VERDICT_HELD; i++) {
            if (known->held[i] == gseq) {
                known->held[i] = known->held[--known->held_count];
                event_begin(l->h, "settle");
                verdict_members(l, inc, gseq, code, sqlite3_column_int64(q, 1), line);
                event_end(l->h);
            }
        }
        free(line);
    }
}

static void settled_write(look *l)
{
    history *h = l->h;
    sqlite3_stmt *q = history_query(h, l->db, "SELECT no, incarnation FROM fs_incarnation");
    while (history_row(h, q)) {
        fb_id inc = column_id(q, 1);
        recorded_inc *known = inc_get(h, &inc, -1);
        for (int i = known->held_count - 1; i >= 0; i--) {
            settle_write(l, sqlite3_column_int64(q, 0), &inc, known->held[i]);
        }
    }
}

/* The last one of each row that the commit wrote. */
static bool is_written_again(const written *rows, size_t at, size_t end)
{
    for (size_t i = at + 1; i < end; i++) {
        if (strcmp(rows[i].table, rows[at].table) == 0 &&
            rows[i].cells[0].size == rows[at].cells[0].size &&
            memcmp(rows[i].cells[0].bytes, rows[at].cells[0].bytes, rows[at].cells[0].size) == 0) {
            return true;
        }
    }
    return false;
}

static void change_write(look *l, const written *w, int64_t cid)
{
    history *h = l->h;
    const cat_entity *e = catalog_entity_str(h->cat, w->table);
    char sql[160], *names[HISTORY_COLUMNS_MAX] = {NULL};
    int count = 0;
    if (e == NULL) {
        return;
    }
    snprintf(sql, sizeof sql, "SELECT name FROM pragma_table_info('%s') ORDER BY cid", w->table);
    sqlite3_stmt *q = history_query(h, l->db, sql);
    while (history_row(h, q)) {
        if (count < w->count && count < HISTORY_COLUMNS_MAX) {
            names[count++] = strdup((const char *)sqlite3_column_text(q, 0));
        }
    }
    event_begin(h, "change");
    put_number(h, "cid", cid);
    put_text(h, "k", w->gone ? "delete" : "row");
    row_write(h, e, names, w->cells, w->gone ? 1 : count, true);
    event_end(h);
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
}

static bool says_who_sees(const char *table)
{
    static const char *const NAMES[] = {"org_unit",  "territory",      "role",
                                        "user_role", "user_territory", "app_user"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strcmp(table, NAMES[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void member_write(history *h, const char *pair, bool in)
{
    char user[40], territory[40];
    snprintf(user, sizeof user, "%.36s", pair);
    snprintf(territory, sizeof territory, "%.36s", pair + 37);
    event_begin(h, "member");
    put_text(h, "u", user);
    put_text(h, "ter", territory);
    put_number(h, "in", in);
    event_end(h);
}

static bool holds(char *const *set, size_t count, const char *pair)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(set[i], pair) == 0) {
            return true;
        }
    }
    return false;
}

/* Who is a member of which territory today, naively from the tables (protocol.md section 8). */
static void members_write(look *l)
{
    static const char SQL[] =
        "WITH RECURSIVE d(day) AS (SELECT date(?1 / 1000 + 60 * coalesce((SELECT CAST(value AS "
        "INTEGER) FROM fs_meta WHERE key = 'zone_minutes'), 0), 'unixepoch')), "
        "roles(u, s) AS (SELECT ur.user_id, r.data_scope FROM d, user_role ur JOIN role r ON r.id "
        "= "
        "ur.role_id WHERE coalesce(r.active, 1) <> 0 AND coalesce(ur.valid_from, '') <= day AND "
        "(coalesce(ur.valid_to, '') = '' OR ur.valid_to >= day)), "
        "units(u, o) AS (SELECT id, org_unit_id FROM app_user WHERE id IN (SELECT u FROM roles "
        "WHERE s = 'region') UNION SELECT u, org_unit.id FROM units JOIN org_unit ON "
        "org_unit.parent_id = o), "
        "below(u, t) AS (SELECT u, territory.id FROM units JOIN territory ON territory.org_unit_id "
        "= o UNION SELECT u, territory.id FROM below JOIN territory ON territory.parent_id = t) "
        "SELECT user_id, territory_id FROM d, user_territory WHERE coalesce(valid_from, '') <= day "
        "AND (coalesce(valid_to, '') = '' OR valid_to >= day) UNION SELECT u, t FROM below UNION "
        "SELECT u, territory.id FROM roles, territory WHERE s = 'all'";
    history *h = l->h;
    char **now = NULL;
    size_t count = 0;
    sqlite3_stmt *q = history_query(h, l->db, SQL);
    sqlite3_bind_int64(q, 1, h->now_ms);
    while (history_row(h, q)) {
        char pair[80], one[FB_ID_TEXT_BYTES], two[FB_ID_TEXT_BYTES];
        fb_id user = column_id(q, 0), territory = column_id(q, 1);
        id_put(&user, one);
        id_put(&territory, two);
        snprintf(pair, sizeof pair, "%s %s", one, two);
        now = realloc(now, (count + 1) * sizeof *now);
        if (now == NULL) {
            history_fail(h, "memberships", "no memory");
        }
        now[count++] = strdup(pair);
        if (!holds(h->members, h->members_count, pair)) {
            member_write(h, pair, true);
        }
    }
    for (size_t i = 0; i < h->members_count; i++) {
        if (!holds(now, count, h->members[i])) {
            member_write(h, h->members[i], false);
        }
        free(h->members[i]);
    }
    free(h->members);
    h->members = now;
    h->members_count = count;
}

static void commit_write(look *l, size_t from, size_t at)
{
    history *h = l->h;
    const cell *c = h->pending[at].cells; /* cid, at_ms, incarnation, gseq */
    int64_t cid = c[0].number, no = c[2].number, gseq = c[3].number;
    fb_id inc = no > 0 ? incarnation_of(l, no) : (fb_id){{0}};
    bool who = false;
    verdicts_before(l, no, gseq);
    event_begin(h, "commit");
    put_number(h, "cid", cid);
    put_number(h, "at", c[1].number);
    if (no > 0) {
        put_id(h, "inc", &inc);
        put_number(h, "g", gseq);
        hash_member(h, inc_get(h, &inc, -1), gseq);
    }
    event_end(h);
    for (size_t i = from; i < at; i++) {
        if (!is_written_again(h->pending, i, at)) {
            change_write(l, &h->pending[i], cid);
        }
        who |= says_who_sees(h->pending[i].table);
    }
    verdict_seen *v = no > 0 ? verdict_find(l, no, gseq) : NULL;
    if (v != NULL) {
        decide_write(l, v, false);
    } else if (no > 0) {
        settle_write(l, no, &inc, gseq);
    }
    if (who) {
        members_write(l);
    }
    h->cid = cid;
}

/* A commit whose number a later one has was undone (a savepoint rolled back). */
static bool is_undone(const history *h, size_t at)
{
    for (size_t i = at + 1; i < h->pending_count; i++) {
        if (strcmp(h->pending[i].table, "fs_commit") == 0 &&
            h->pending[i].cells[0].number <= h->pending[at].cells[0].number) {
            return true;
        }
    }
    return false;
}

static void commits_write(look *l)
{
    history *h = l->h;
    size_t from = 0;
    for (size_t i = 0; i < h->pending_count; i++) {
        if (strcmp(h->pending[i].table, "fs_commit") != 0) {
            continue;
        }
        if (h->pending[i].cells[0].number <= l->head && !is_undone(h, i)) {
            commit_write(l, from, i);
        }
        from = i + 1;
    }
    for (size_t i = 0; i < h->pending_count; i++) {
        written_free(&h->pending[i]);
    }
    h->pending_count = 0;
}

static void hex_member(history *h, const char *key, sqlite3_stmt *q, int column)
{
    char hex[130] = "";
    const unsigned char *b = sqlite3_column_blob(q, column);
    int n = sqlite3_column_bytes(q, column);
    for (int i = 0; i < n && i < 64; i++) {
        snprintf(hex + 2 * i, 3, "%02x", b[i]);
    }
    put_text(h, key, hex);
}

static void audit_keep(history *h, int64_t seq, sqlite3_stmt *q, int column)
{
    h->audit_hashes = realloc(h->audit_hashes, (size_t)seq * sizeof *h->audit_hashes);
    if (h->audit_hashes == NULL || sqlite3_column_bytes(q, column) != (int)sizeof(digest)) {
        history_fail(h, "an audit entry", "no memory, or it has no hash");
    }
    memcpy(h->audit_hashes[seq - 1].b, sqlite3_column_blob(q, column), sizeof(digest));
    h->audit_seq = seq;
}

/* How far the log of a restored server is the one that was written down. */
static int64_t audit_common(look *l)
{
    history *h = l->h;
    int64_t common = 0;
    sqlite3_stmt *q = history_query(h, l->db, "SELECT seq, hash FROM fs_audit ORDER BY seq");
    while (history_row(h, q)) {
        int64_t seq = sqlite3_column_int64(q, 0);
        bool same =
            seq == common + 1 && seq <= h->audit_seq &&
            sqlite3_column_bytes(q, 1) == (int)sizeof(digest) &&
            memcmp(sqlite3_column_blob(q, 1), h->audit_hashes[seq - 1].b, sizeof(digest)) == 0;
        common = same ? seq : common;
    }
    return common;
}

static void audit_write(look *l)
{
    history *h = l->h;
    sqlite3_stmt *q =
        history_query(h, l->db,
                      "SELECT seq, at_ms, actor, action, entity, row_id, cid, rows, "
                      "digest, detail, hash FROM fs_audit WHERE seq > ?1 ORDER BY seq");
    sqlite3_bind_int64(q, 1, h->audit_seq);
    while (history_row(h, q)) {
        event_begin(h, "audit");
        audit_keep(h, sqlite3_column_int64(q, 0), q, 10);
        put_number(h, "seq", h->audit_seq);
        put_number(h, "at", sqlite3_column_int64(q, 1));
        put_text(h, "actor", (const char *)sqlite3_column_text(q, 2));
        put_text(h, "action", (const char *)sqlite3_column_text(q, 3));
        put_text(h, "entity", (const char *)sqlite3_column_text(q, 4));
        hex_member(h, "row", q, 5);
        put_number(h, "cid", sqlite3_column_int64(q, 6));
        put_number(h, "rows", sqlite3_column_int64(q, 7));
        hex_member(h, "digest", q, 8);
        put_text(h, "detail", (const char *)sqlite3_column_text(q, 9));
        hex_member(h, "hash", q, 10);
        event_end(h);
    }
}

static void aliases_write(look *l)
{
    history *h = l->h;
    int64_t count = 0;
    sqlite3_stmt *q = history_query(h, l->db, "SELECT count(*) FROM fs_alias");
    while (history_row(h, q)) {
        count = sqlite3_column_int64(q, 0);
    }
    if (count == h->alias_count) {
        return;
    }
    h->alias_count = count;
    q = history_query(h, l->db,
                      "SELECT a.from_id, a.to_id, e.name FROM fs_alias a JOIN fs_entity e "
                      "ON e.number = a.entity");
    while (history_row(h, q)) { /* again those that are known: that changes nothing */
        fb_id from = column_id(q, 0), to = column_id(q, 1);
        event_begin(h, "alias");
        put_text(h, "e", (const char *)sqlite3_column_text(q, 2));
        put_id(h, "from", &from);
        put_id(h, "to", &to);
        event_end(h);
    }
}

/* --- epochs -------------------------------------------------------------------------------------
 */

static int64_t one_number(look *l, const char *sql)
{
    int64_t n = 0;
    sqlite3_stmt *q = history_query(l->h, l->db, sql);
    while (history_row(l->h, q)) {
        n = sqlite3_column_int64(q, 0);
    }
    return n;
}

/* What waits in the restored server. */
static void held_look(look *l)
{
    history *h = l->h;
    sqlite3_stmt *q =
        history_query(h, l->db,
                      "SELECT i.incarnation, v.gseq FROM fs_verdict v JOIN fs_incarnation i ON "
                      "i.no = v.incarnation WHERE v.code = 4");
    for (size_t i = 0; i < h->incs_count; i++) {
        h->incs[i].held_count = 0;
    }
    while (history_row(h, q)) {
        fb_id inc = column_id(q, 0);
        held_add(h, inc_get(h, &inc, -1), sqlite3_column_int64(q, 1));
    }
}

static void restored_write(look *l)
{
    history *h = l->h;
    for (uint32_t i = 0; i < h->cat->entities_count; i++) {
        rows_of_table(h, l->db, &h->cat->entities[i], "have", true);
    }
    event_begin(h, "restored");
    event_end(h);
    sqlite3_stmt *q = history_query(h, l->db, "SELECT incarnation, applied FROM fs_incarnation");
    for (size_t i = 0; i < h->incs_count; i++) {
        h->incs[i].decided = 0;
    }
    while (history_row(h, q)) {
        fb_id inc = column_id(q, 0);
        inc_get(h, &inc, -1)->decided = sqlite3_column_int64(q, 1);
    }
    held_look(l);
    h->alias_count = -1;
    members_write(l);
}

static void epoch_look(look *l)
{
    history *h = l->h;
    fb_id epoch = {{0}};
    sqlite3_stmt *q = history_query(h, l->db, "SELECT value FROM fs_meta WHERE key = 'epoch'");
    while (history_row(h, q)) {
        epoch = column_id(q, 0);
    }
    if (h->begun && id_equal(&epoch, &h->epoch)) {
        return;
    }
    bool first = !h->begun;
    h->epoch = epoch;
    int64_t audit = first ? 0 : audit_common(l);
    event_begin(h, "epoch");
    put_id(h, "ep", &epoch);
    put_number(h, "cid", first ? 0 : l->head);
    put_number(h, "audit", audit);
    event_end(h);
    h->begun = true;
    if (!first) {
        h->audit_seq = audit;
        restored_write(l);
    }
}

bool history_server(history *h)
{
    look l = {.h = h, .db = history_file(h, h->o.server)};
    if (l.db == NULL) {
        return false;
    }
    l.head = one_number(&l, "SELECT coalesce(max(cid), 0) FROM fs_commit");
    catalog_look(h, l.db);
    epoch_look(&l);
    verdicts_read(&l);
    aliases_write(&l);
    commits_write(&l);
    for (size_t i = 0; i < l.count; i++) {
        if (!l.verdicts[i].written) {
            decide_write(&l, &l.verdicts[i], l.verdicts[i].cid > 0);
        }
        free(l.verdicts[i].line);
    }
    free(l.verdicts);
    settled_write(&l);
    audit_write(&l);
    sqlite3_close(l.db);
    return true;
}
