/* audit.c - the record of who changed what, hash-chained: changing, removing or inserting an entry
 * breaks every later hash.
 *
 *   hash(n) = SHA-256(hash(n-1) || at | actor | action | entity | row | cid | rows | digest |
 * detail) each text and blob preceded by its length
 *
 * One entry per commit. Inserted rows are covered by the digest (chain hash of the device's group,
 * or a hash of the changes); of updated and deleted rows the old and new values are kept as JSON.
 * Values of personal columns are shown as "*": they must be erasable, and the chain must not. */
#include <string.h>

#include "base/check.h"
#include "base/id.h"
#include "sync-server/ledger/ledger_inside.h"
#include "wire/row_msg.h"

enum { COMMIT_TEXT_BYTES_MAX = 256 << 20, DETAIL_CHANGES_MAX = 200 };

typedef struct audit_entry {
    int64_t seq, at_ms, cid, rows;
    fb_text actor, action, entity, detail;
    fb_text row_id, digest_bytes; /* size 0: NULL */
} audit_entry;

/* Decimal and a mark; printf would cost more than the hash. */
static void put_number(buf *b, int64_t v, char mark)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
    digits[--at] = mark;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (v < 0) {
        digits[--at] = '-';
    }
    buf_put(b, digits + at, sizeof digits - at);
}

static void put_sized(buf *b, fb_text t)
{
    put_number(b, (int64_t)t.size, ':');
    buf_put_text(b, t);
}

static fb_code entry_hash(buf *b, const audit_entry *e, const digest *before, digest *out)
{
    buf_reset(b);
    put_number(b, e->seq, '|');
    put_number(b, e->at_ms, '|');
    put_number(b, e->cid, '|');
    put_number(b, e->rows, '|');
    put_sized(b, e->actor);
    put_sized(b, e->action);
    put_sized(b, e->entity);
    put_sized(b, e->row_id);
    put_sized(b, e->digest_bytes);
    put_sized(b, e->detail);
    if (b->code != FB_OK) {
        return b->code;
    }
    digest_chain(before, b->data, b->size, out);
    return FB_OK;
}

static fb_code entry_write(store *s, audit_entry *e)
{
    ledger_state *l = NULL;
    digest hash;
    FB_TRY(ledger_state_get(s, &l));
    e->seq = l->audit_seq + 1;
    FB_TRY(entry_hash(&l->text, e, &l->audit_hash, &hash));
    store_stmt *q = store_prepare(s, STORE_ledger_audit_add);
    store_bind_int(q, 1, e->seq);
    store_bind_int(q, 2, e->at_ms);
    store_bind_text(q, 3, e->actor);
    store_bind_text(q, 4, e->action);
    store_bind_text(q, 5, e->entity);
    store_bind_blob(q, 6, e->row_id.size > 0 ? e->row_id.data : NULL, e->row_id.size);
    store_bind_int(q, 7, e->cid);
    store_bind_int(q, 8, e->rows);
    store_bind_blob(q, 9, e->digest_bytes.size > 0 ? e->digest_bytes.data : NULL,
                    e->digest_bytes.size);
    store_bind_text(q, 10, e->detail);
    store_bind_blob(q, 11, hash.b, sizeof hash.b);
    FB_TRY(store_run(q));
    l->audit_seq = e->seq;
    l->audit_hash = hash;
    return FB_OK;
}

/* A text that is bound as text even when it is empty. */
static fb_text filled(fb_text t)
{
    return t.data != NULL ? t : text_of("");
}

fb_code audit_put(store *s, int64_t at_ms, fb_text actor, fb_text action, fb_text entity,
                  const fb_id *id, fb_text detail_json)
{
    FB_REQUIRE(detail_json.size <= DETAIL_BYTES_MAX);
    audit_entry e = {.at_ms = at_ms,
                     .actor = filled(actor),
                     .action = filled(action),
                     .entity = filled(entity),
                     .detail = filled(detail_json)};
    if (id != NULL && !id_is_none(id)) {
        e.row_id = (fb_text){(const char *)id->b, sizeof id->b};
    }
    return entry_write(s, &e);
}

fb_code audit_head(store *s, digest *out)
{
    store_stmt *q = store_prepare(s, STORE_ledger_audit_last);
    bool row = false;
    memset(out, 0, sizeof *out);
    FB_TRY(store_step(q, &row));
    fb_text hash = row ? store_blob(q, 1) : (fb_text){0};
    if (hash.size == sizeof out->b) {
        memcpy(out->b, hash.data, sizeof out->b);
    }
    store_reset(q);
    return FB_OK;
}

/* ---- the entry of a commit ---- */

static void put_value(json_writer *w, const cat_column *c, const fb_value *v)
{
    if (c->personal && v->kind != FB_KIND_NULL) {
        json_put_str(w, "*");
        return;
    }
    value_put(w, c, v);
}

static void put_update(json_writer *w, const change *c)
{
    for (uint32_t i = 0; i < c->columns_count; i++) {
        const cat_column *column = &c->entity->columns[c->columns[i]];
        if (fb_value_equal(&c->before[c->columns[i]], &c->values[i])) {
            continue;
        }
        json_put_key_text(w, column->name);
        json_put_array(w);
        put_value(w, column, &c->before[c->columns[i]]);
        put_value(w, column, &c->values[i]);
        json_put_end(w);
    }
}

static void put_delete(json_writer *w, const change *c)
{
    for (uint32_t i = 1; i < c->entity->columns_count; i++) {
        if (c->before[i].kind != FB_KIND_NULL) {
            json_put_key_text(w, c->entity->columns[i].name);
            put_value(w, &c->entity->columns[i], &c->before[i]);
        }
    }
}

static void put_change(json_writer *w, const change *c)
{
    json_put_object(w);
    json_put_key(w, c->kind == CHANGE_DELETE ? "-" : "~");
    json_put_string(w, c->entity->name);
    json_put_key(w, "id");
    json_put_id(w, &c->id);
    json_put_key(w, "c");
    json_put_object(w);
    if (c->kind == CHANGE_DELETE) {
        put_delete(w, c);
    } else {
        put_update(w, c);
    }
    json_put_end(w);
    json_put_end(w);
}

/* [{"~":"customer","id":"..","c":{"phone":["*","*"]}}, ...]; "" when rows were only inserted. What
 * does not fit is counted: {"more":n}. The digest covers it all the same. */
static void put_detail(buf *out, const commit_job *job)
{
    json_writer w;
    uint32_t shown = 0;
    uint32_t more = 0;
    json_writer_init(&w, out);
    for (uint32_t i = 0; i < job->count; i++) {
        if (job->changes[i].kind == CHANGE_INSERT) {
            continue;
        }
        if (shown == DETAIL_CHANGES_MAX || out->size > DETAIL_BYTES_MAX / 2) {
            more++;
            continue;
        }
        if (shown++ == 0) {
            json_put_array(&w);
        }
        put_change(&w, &job->changes[i]);
    }
    if (more > 0) {
        json_put_object(&w);
        json_put_key(&w, "more");
        json_put_int(&w, more);
        json_put_end(&w);
    }
    if (shown > 0) {
        json_put_end(&w);
    }
}

static void put_raw_value(buf *b, const fb_value *v)
{
    buf_put_char(b, (char)('0' + v->kind));
    switch (v->kind) {
    case FB_KIND_NULL:
        return;
    case FB_KIND_INT:
        put_number(b, v->u.i, '|');
        return;
    case FB_KIND_TEXT:
        put_sized(b, v->u.text);
        return;
    case FB_KIND_ID:
        buf_put(b, v->u.id.b, sizeof v->u.id.b);
        return;
    }
}

/* Hash over everything the changes write, for commits that no device's chain covers. */
static fb_code changes_digest(const commit_job *job, digest *out)
{
    buf b;
    buf_init(&b, COMMIT_TEXT_BYTES_MAX);
    for (uint32_t i = 0; i < job->count; i++) {
        const change *c = &job->changes[i];
        uint32_t values = c->kind == CHANGE_DELETE ? 0 : c->columns_count;
        put_number(&b, c->kind, ':');
        put_sized(&b, c->entity->name);
        buf_put(&b, c->id.b, sizeof c->id.b);
        for (uint32_t n = 0; n < values; n++) {
            put_sized(&b,
                      c->entity->columns[c->kind == CHANGE_UPDATE ? c->columns[n] : (int)n].name);
            put_raw_value(&b, &c->values[n]);
        }
    }
    fb_code rc = b.code;
    if (rc == FB_OK) {
        digest_of(b.data, b.size, out);
    }
    buf_clear(&b);
    return rc;
}

/* "device <id>" (its enrolment, audited, names the user), "user <id>", or "server". */
static void put_actor(char out[48], const commit_source *from)
{
    if (!id_is_none(&from->device)) {
        memcpy(out, "device ", 7);
        id_put(&from->device, out + 7);
    } else if (!id_is_none(&from->user)) {
        memcpy(out, "user ", 5);
        id_put(&from->user, out + 5);
    } else {
        memcpy(out, "server", 7);
    }
}

static fb_code write_commit_entry(const commit_job *job, audit_entry *e)
{
    buf detail;
    buf_init(&detail, DETAIL_BYTES_MAX * 4);
    put_detail(&detail, job);
    fb_code rc = detail.code;
    if (rc == FB_E_LIMIT) { /* one huge row: the digest stands for it */
        buf_clear(&detail);
        rc = FB_OK;
    }
    e->detail =
        detail.size > 0 && detail.size <= DETAIL_BYTES_MAX ? buf_text(&detail) : text_of("");
    if (rc == FB_OK) {
        rc = entry_write(job->store, e);
    }
    buf_clear(&detail);
    return rc;
}

fb_code audit_commit(const commit_job *job)
{
    char actor[48];
    digest proof;
    audit_entry e = {.at_ms = job->from->at_ms,
                     .cid = job->cid,
                     .rows = job->count + job->followers,
                     .action = filled(job->from->kind),
                     .entity = text_of("")};
    if (job->from->proof != NULL) {
        proof = *job->from->proof;
    } else {
        FB_TRY(changes_digest(job, &proof));
    }
    put_actor(actor, job->from);
    e.actor = text_of(actor);
    e.digest_bytes = (fb_text){(const char *)proof.b, sizeof proof.b};
    if (job->count == 1) {
        e.entity = job->changes[0].entity->name;
        e.row_id = (fb_text){(const char *)job->changes[0].id.b, sizeof job->changes[0].id.b};
    }
    return write_commit_entry(job, &e);
}

/* ---- verifying ---- */

static void entry_read(store_stmt *q, audit_entry *e)
{
    e->seq = store_int(q, 0);
    e->at_ms = store_int(q, 1);
    e->actor = store_text(q, 2);
    e->action = store_text(q, 3);
    e->entity = store_text(q, 4);
    e->row_id = store_blob(q, 5);
    e->cid = store_int(q, 6);
    e->rows = store_int(q, 7);
    e->digest_bytes = store_blob(q, 8);
    e->detail = store_text(q, 9);
}

static fb_code verify_all(store *s, buf *text, int64_t *entries, int64_t *first_bad)
{
    store_stmt *q = store_prepare(s, STORE_ledger_audit_all);
    digest before = {{0}};
    bool row = true;
    FB_TRY(store_step(q, &row));
    while (row && *first_bad == 0) {
        audit_entry e;
        digest hash;
        entry_read(q, &e);
        fb_code rc = entry_hash(text, &e, &before, &hash);
        if (rc != FB_OK) {
            store_reset(q);
            return rc;
        }
        fb_text stored = store_blob(q, 10);
        if (e.seq != *entries + 1 || stored.size != sizeof hash.b ||
            memcmp(stored.data, hash.b, sizeof hash.b) != 0) {
            *first_bad = *entries + 1;
        }
        before = hash;
        (*entries)++;
        FB_TRY(store_step(q, &row));
    }
    store_reset(q);
    return FB_OK;
}

fb_code audit_verify(store *s, int64_t *entries_out, int64_t *first_bad_out)
{
    int64_t entries = 0;
    int64_t first_bad = 0;
    buf text;
    buf_init(&text, COMMIT_TEXT_BYTES_MAX);
    fb_code rc = verify_all(s, &text, &entries, &first_bad);
    buf_clear(&text);
    if (rc == FB_OK) {
        *entries_out = entries;
        *first_bad_out = first_bad;
    }
    return rc;
}
