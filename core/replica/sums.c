/* sums.c - the digest of the base rows, kept by promotion (protocol.md section 6.5), and the
 * versions that the server gave to rows of this device's own groups.
 *
 *   SUM-1  between promotions fb_digest counts every base row but those of groups in
 *          (versioned, settled]: theirs are given by the next promotion that moves rows
 *   SUM-2  while `counting`, whoever changes a base row says so here; what cannot be said exactly
 *          makes the sums uncertain, and they are counted again before they are compared
 *
 * A group that stood as sent made commit c; the rows it names, in the order it names them first,
 * have the versions c * 2^20 + 0, 1, 2 ... (protocol.md section 5.2). */
#include <string.h>

#include "replica/room.h"

enum { SLOTS_MIN = 8, BUCKET_BYTES = 8 };

/* ---- kept in the file ---- */

fb_code sums_load(replica *r, row_sums *out, bool *known)
{
    row_sums sums = {.rows = 0};
    sql_stmt *s = sql_prepare(r->db, "SELECT rows, buckets FROM fb_digest WHERE n=1");
    FB_TRY(sql_step(s, known));
    if (!*known) {
        *out = sums;
        return FB_OK;
    }
    fb_text blob = sql_blob(s, 1);
    sums.rows = sql_int(s, 0);
    *known = blob.size == (size_t)ROW_BUCKETS * BUCKET_BYTES; /* else it is counted again */
    for (size_t i = 0; *known && i < blob.size; i++) {
        uint64_t *bucket = &sums.bucket[i / BUCKET_BYTES];
        *bucket = *bucket << 8 | (uint8_t)blob.data[i];
    }
    sql_reset(s);
    *out = sums;
    return FB_OK;
}

static fb_code sums_store(replica *r, const row_sums *sums)
{
    uint8_t room[ROW_BUCKETS * BUCKET_BYTES];
    sql_stmt *s = sql_prepare(
        r->db, "INSERT OR REPLACE INTO fb_digest (n, rows, buckets) VALUES (1, ?1, ?2)");
    for (size_t i = 0; i < sizeof room; i++) {
        room[i] = (uint8_t)(sums->bucket[i / BUCKET_BYTES] >> (56 - 8 * (i % BUCKET_BYTES)));
    }
    sql_bind_int(s, 1, sums->rows);
    sql_bind_blob(s, 2, room, sizeof room);
    return sql_run(s);
}

fb_code sums_begin(replica *r, bool reset)
{
    bool known = false;
    FB_TRY(sums_load(r, &r->sums.now, &known));
    r->sums.before = r->sums.now;
    r->sums.uncertain = reset || !known;
    r->sums.counting = !reset;
    return FB_OK;
}

fb_code sums_end(replica *r)
{
    r->sums.counting = false;
    return row_sums_equal(&r->sums.before, &r->sums.now) ? FB_OK : sums_store(r, &r->sums.now);
}

/* ---- one row ---- */

void sums_add(replica *r, const cat_entity *e, const fb_id *id, int64_t ver)
{
    if (r->sums.counting) {
        row_sums_add(&r->sums.now, e->name, id, ver);
    }
}

void sums_take(replica *r, const cat_entity *e, const fb_id *id, int64_t ver)
{
    if (r->sums.counting) {
        row_sums_take(&r->sums.now, e->name, id, ver);
    }
}

/* plan_exists gives the version. */
static fb_code ver_of(replica *r, entity_plan *p, const fb_id *id, bool *there, int64_t *ver)
{
    sql_stmt *s = plan_exists(r, p);
    sql_bind_id(s, 1, id);
    FB_TRY(sql_step(s, there));
    if (*there) {
        *ver = sql_int(s, 0);
        sql_reset(s);
    }
    return FB_OK;
}

fb_code sums_take_row(replica *r, entity_plan *p, const fb_id *id)
{
    bool there = false;
    int64_t ver = 0;
    if (!r->sums.counting) {
        return FB_OK;
    }
    FB_TRY(ver_of(r, p, id, &there, &ver));
    if (there) {
        sums_take(r, p->entity, id, ver);
    }
    return FB_OK;
}

/* ---- counting again, while nothing is on top ---- */

static sql_stmt *each_row(replica *r, const cat_entity *e)
{
    buf_reset(&r->text);
    buf_printf(&r->text, "SELECT id, ver FROM %.*s", (int)e->name.size, e->name.data);
    return sql_prepare(r->db, buf_cstr(&r->text));
}

static fb_code count_table(replica *r, const cat_entity *e, row_sums *out)
{
    bool row = false;
    sql_stmt *s = each_row(r, e);
    FB_TRY(sql_step(s, &row));
    while (row) {
        fb_id id = sql_id(s, 0);
        row_sums_add(out, e->name, &id, sql_int(s, 1));
        FB_TRY(sql_step(s, &row));
    }
    return FB_OK;
}

fb_code sums_count(replica *r, row_sums *out)
{
    const catalog *c = r->edition->catalog;
    *out = (row_sums){.rows = 0};
    for (uint32_t i = 0; i < c->entities_count; i++) {
        FB_TRY(count_table(r, &c->entities[i], out));
    }
    return unknown_count(r, out);
}

/* ---- buckets that come anew ---- */

typedef struct id_list {
    fb_id *ids;
    uint32_t count, room;
} id_list;

static fb_code list_id(arena *memory, id_list *l, const fb_id *id)
{
    if (l->count == l->room) {
        uint32_t room = l->room > 0 ? l->room * 2 : 64;
        fb_id *grown = arena_take(memory, room * sizeof *grown);
        if (grown == NULL) {
            return FB_E_NO_MEMORY;
        }
        if (l->count > 0) {
            memcpy(grown, l->ids, l->count * sizeof *grown);
        }
        l->ids = grown;
        l->room = room;
    }
    l->ids[l->count++] = *id;
    return FB_OK;
}

static fb_code list_bucket_rows(replica *r, const cat_entity *e, const bucket_set *set, id_list *l)
{
    bool row = false;
    sql_stmt *s = each_row(r, e);
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row) {
        fb_id id = sql_id(s, 0);
        if (bucket_set_has(set, row_bucket(e->name, &id))) {
            rc = list_id(r->scratch, l, &id);
        }
        if (rc == FB_OK) {
            rc = sql_step(s, &row);
        }
    }
    sql_reset(s);
    return rc;
}

fb_code sums_empty_buckets(replica *r, const bucket_set *set)
{
    const catalog *c = r->edition->catalog;
    r->purge_due = true;
    r->sums.uncertain = true; /* rows that await a newer catalogue have buckets too */
    for (uint32_t i = 0; i < c->entities_count; i++) {
        id_list l = {.count = 0};
        entity_plan *p = plan_of(r, &c->entities[i]);
        arena_reset(r->scratch);
        FB_TRY(list_bucket_rows(r, &c->entities[i], set, &l));
        for (uint32_t n = 0; n < l.count; n++) {
            FB_TRY(sums_take_row(r, p, &l.ids[n]));
            FB_TRY(row_remove(r, p, &l.ids[n]));
        }
        if (l.count > 0) {
            observe_entity(r, &c->entities[i]);
        }
    }
    return FB_OK;
}

/* ---- versions of this device's own rows ---- */

static uint32_t slot_hash(const group_op *op)
{
    uint64_t high;
    uint64_t low;
    memcpy(&high, op->id.b, sizeof high);
    memcpy(&low, op->id.b + sizeof high, sizeof low);
    uint64_t h = (high ^ low * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    return (uint32_t)((h ^ h >> 32) >> 8) + (uint32_t)op->entity->number;
}

static bool same_row(const group_op *a, const group_op *b)
{
    return a->entity == b->entity && id_equal(&a->id, &b->id);
}

/* Numbers of the rows that the ops name, in the order they are named first. */
static fb_code number_rows(replica *r, const group *g, int64_t first, int64_t *versions)
{
    uint32_t slots_count = SLOTS_MIN;
    uint32_t rows = 0;
    while (slots_count < 2 * g->ops_count) {
        slots_count *= 2;
    }
    uint32_t *slots = arena_take(r->scratch, slots_count * sizeof *slots);
    if (slots == NULL) {
        return FB_E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < g->ops_count; i++) {
        uint32_t at = slot_hash(&g->ops[i]) & (slots_count - 1);
        while (slots[at] != 0 && !same_row(&g->ops[slots[at] - 1], &g->ops[i])) {
            at = (at + 1) & (slots_count - 1);
        }
        if (slots[at] == 0) {
            slots[at] = i + 1;
            versions[i] = first + rows++;
        } else {
            versions[i] = versions[slots[at] - 1];
        }
    }
    return FB_OK;
}

fb_code own_versions(replica *r, int64_t gseq, const group *g, int64_t **out)
{
    bool found = false;
    int64_t cid = 0;
    *out = NULL;
    FB_TRY(
        read_int(r,
                 "SELECT cid_from + ?1 - gseq_from FROM fb_ack WHERE gseq_from <= ?1 AND gseq_to "
                 ">= ?1 ORDER BY gseq_from DESC LIMIT 1",
                 gseq, &found, &cid));
    if (!found || cid <= 0) {
        return FB_OK;
    }
    int64_t *versions = arena_take(r->scratch, (g->ops_count + 1) * sizeof *versions);
    if (versions == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(number_rows(r, g, cid << VER_BITS, versions));
    *out = versions;
    return FB_OK;
}

static fb_code version_row(replica *r, const group_op *op, int64_t version)
{
    entity_plan *p = plan_of(r, op->entity);
    const int column = cat_ver_column(op->entity);
    const fb_value value = {.kind = FB_KIND_INT, .u.i = version};
    bool there = false;
    int64_t ver = 0;
    FB_TRY(ver_of(r, p, &op->id, &there, &ver));
    if (!there || ver >= version) {
        return FB_OK;
    }
    if (ver > 0) {
        sums_take(r, op->entity, &op->id, ver);
    }
    sums_add(r, op->entity, &op->id, version);
    return row_update(r, p, &op->id, &column, &value, 1);
}

static fb_code version_group(replica *r, int64_t gseq)
{
    group g;
    int64_t *versions = NULL;
    FB_TRY(group_load(r, gseq, &g));
    FB_TRY(own_versions(r, gseq, &g, &versions));
    for (uint32_t i = 0; versions != NULL && i < g.ops_count; i++) {
        FB_TRY(version_row(r, &g.ops[i], versions[i]));
    }
    return FB_OK;
}

/* The settled group that stood as sent, behind *gseq. */
static fb_code next_settled(replica *r, int64_t *gseq, bool *found)
{
    sql_stmt *s = sql_prepare(r->db, "SELECT gseq FROM fb_outbox WHERE gseq > ?1 AND gseq <= ?2"
                                     " AND state=0 ORDER BY gseq LIMIT 1");
    sql_bind_int(s, 1, *gseq);
    sql_bind_int(s, 2, r->state.settled);
    FB_TRY(sql_step(s, found));
    if (*found) {
        *gseq = sql_int(s, 0);
        sql_reset(s);
    }
    return FB_OK;
}

fb_code sums_own_versions(replica *r)
{
    int64_t gseq = r->state.versioned;
    bool found = false;
    FB_TRY(next_settled(r, &gseq, &found));
    while (found) {
        FB_TRY(version_group(r, gseq));
        FB_TRY(next_settled(r, &gseq, &found));
    }
    r->state.versioned = r->state.settled;
    return FB_OK;
}
