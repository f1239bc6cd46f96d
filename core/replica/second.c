/* second.c - see second.h: the hot path, what a segment says, and upkeep. second_write.c writes
 * whole segments. */
#include <string.h>

#include "base/trace.h"
#include "replica/salvage.h"

enum { TEND_FROM_BYTES = 256 << 10, CHECKPOINT_PAGES = 1000 };

/* --- reading ------------------------------------------------------------------------- */

static void see_name(second_seen *s, const named_value *n)
{
    const struct {
        const char *name;
        void *to;
        size_t size;
    } blobs[] = {{"incarnation", s->incarnation.b, sizeof s->incarnation.b},
                 {"device", s->device.b, sizeof s->device.b},
                 {"file_id", s->file_id.b, sizeof s->file_id.b},
                 {"epoch", s->epoch.b, sizeof s->epoch.b},
                 {"pruned_chain", s->chain_last.b, sizeof s->chain_last.b}};
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++) {
        if (text_is(n->name, blobs[i].name) && n->bytes.size == blobs[i].size) {
            memcpy(blobs[i].to, n->bytes.data, blobs[i].size);
        }
    }
    if (text_is(n->name, "pruned")) {
        s->pruned = n->number;
    }
}

/* The first record of a segment; a later one of the same life says only what changed since. */
static fb_code see_identity(second_seen *s, fb_text payload)
{
    named_value n;
    bool found = true;
    second_seen read = {.identity = true};
    while (found) {
        FB_TRY(named_get(&payload, &n, &found));
        if (found) {
            see_name(&read, &n);
        }
    }
    if (s->identity) {
        return FB_OK;
    }
    digest none = {{0}};
    if (memcmp(&read.chain_last, &none, sizeof none) == 0) {
        chain_start(&read.incarnation, &read.chain_last);
    }
    read.last = read.pruned;
    *s = read;
    return FB_OK;
}

static fb_code see_group(second_seen *s, const journal_record *record)
{
    stored_group g;
    FB_TRY(stored_group_get(record->payload, &g));
    if (record->confirmed) {
        s->last = record->gseq;
        s->chain_last = g.chain;
        s->groups++;
    } else {
        s->open_gseq = record->gseq;
        s->open_chain = g.chain;
    }
    return FB_OK;
}

fb_code second_see(void *seen, const journal_record *record)
{
    second_seen *s = seen;
    switch (record->type) {
    case JOURNAL_IDENTITY:
        return see_identity(s, record->payload);
    case JOURNAL_GROUP:
        return see_group(s, record);
    case JOURNAL_SALVAGE:
        s->salvage = record->payload.size == sizeof s->nonce;
        if (s->salvage) {
            memcpy(s->nonce, record->payload.data, sizeof s->nonce);
        }
        return FB_OK;
    case JOURNAL_CATALOG:
        s->catalog_version = (uint32_t)record->gseq;
        return FB_OK;
    case JOURNAL_COUNTERS:
    case JOURNAL_ARCHIVED:
    case JOURNAL_CLOSED:
    case JOURNAL_DRAFT:
        return FB_OK;
    }
    return FB_OK; /* of a later version: what it says of groups is said by groups */
}

/* The open record counts if and only if the database has it (JRN-1). */
static fb_code settle_open(replica *r)
{
    second *s = &r->second;
    if (!s->j.open) {
        return FB_OK;
    }
    bool committed = s->seen.open_gseq == s->seen.last + 1 && s->seen.open_gseq <= r->state.last;
    if (committed) {
        digest chain;
        FB_TRY(chain_at(r, s->seen.open_gseq, &chain));
        committed = memcmp(&chain, &s->seen.open_chain, sizeof chain) == 0;
    }
    if (!committed) {
        journal_withdraw(&s->j);
        return FB_OK;
    }
    FB_TRY(journal_confirm(&s->j));
    s->seen.last = s->seen.open_gseq;
    s->seen.chain_last = s->seen.open_chain;
    return FB_OK;
}

/* Read what is new. *known false: there is no segment, or one of another life. */
static fb_code look(replica *r, bool *known)
{
    second *s = &r->second;
    uint64_t generation = s->j.file != NULL ? s->j.generation : 0;
    *known = false;
    journal_withdraw(&s->j);
    fb_code rc = journal_open(&s->j);
    if (rc == FB_E_NOT_FOUND) {
        return FB_OK;
    }
    FB_TRY(rc);
    if (s->j.generation != generation) {
        s->seen = (second_seen){.identity = false};
    }
    FB_TRY(journal_follow(&s->j, second_see, &s->seen));
    *known = s->seen.identity;
    return FB_OK;
}

/* Is the last group here one of the database's? */
static fb_code is_before(replica *r, bool *out)
{
    const second_seen *s = &r->second.seen;
    digest chain;
    *out = false;
    if (s->last > r->state.last) {
        return FB_OK;
    }
    if (s->last < r->state.pruned) { /* everything here was answered and is in a backup */
        *out = true;
        return FB_OK;
    }
    fb_code rc = chain_at(r, s->last, &chain);
    *out = rc == FB_OK && memcmp(&chain, &s->chain_last, sizeof chain) == 0;
    return rc == FB_E_GAP ? FB_OK : rc;
}

/* `alone`: under the write lock. Without it nothing is written, and only SECOND_MATCHES is sure. */
static fb_code judge(replica *r, bool alone, second_verdict *out)
{
    second *s = &r->second;
    bool known = false;
    bool before = false;
    fb_id file_id = {{0}};
    *out = SECOND_MATCHES;
    FB_TRY(look(r, &known));
    FB_TRY(meta_find_blob(r, "file_id", file_id.b, sizeof file_id.b));
    if (!known) {
        *out = r->me.enrolled ? SECOND_MISSING : SECOND_MATCHES;
        return FB_OK;
    }
    if (s->seen.salvage) {
        bool done = memcmp(r->salvaged_nonce, s->seen.nonce, sizeof s->seen.nonce) == 0;
        *out = done ? SECOND_MISSING : SECOND_AHEAD;
        return FB_OK;
    }
    if (!id_equal(&file_id, &s->seen.file_id) || r->life < s->j.life) {
        *out = SECOND_AHEAD;
        return FB_OK;
    }
    if (r->life > s->j.life) {
        *out = SECOND_MISSING;
        return FB_OK;
    }
    if (alone) {
        FB_TRY(settle_open(r));
    }
    FB_TRY(is_before(r, &before));
    bool same_life = id_equal(&r->me.incarnation, &s->seen.incarnation);
    *out = !same_life || !before           ? SECOND_AHEAD
           : s->seen.last == r->state.last ? SECOND_MATCHES
                                           : SECOND_BEHIND;
    return FB_OK;
}

/* --- writing ------------------------------------------------------------------------- */

/* Groups that the database has and the second copy has not, in order. */
static fb_code catch_up(replica *r)
{
    second *s = &r->second;
    bool row = false;
    sql_stmt *q = sql_prepare(r->db, "SELECT gseq, at_ms, kind, body, chain, state FROM fb_outbox"
                                     " WHERE gseq > ?1 AND gseq <= ?2 ORDER BY gseq");
    sql_bind_int(q, 1, s->seen.last);
    sql_bind_int(q, 2, r->state.last);
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row) {
        rc = second_append_row(r, q, JOURNAL_GROUP);
        if (rc == FB_OK) {
            rc = sql_step(q, &row);
        }
    }
    sql_reset(q);
    return rc == FB_OK && s->seen.last != r->state.last ? FB_E_CORRUPT : rc;
}

fb_code second_align(replica *r)
{
    second *s = &r->second;
    bool known = s->j.file != NULL && s->seen.identity;
    bool before = false;
    if (s->check) {
        FB_TRY(look(r, &known));
    }
    if (!known || s->j.life < r->life) {
        return second_write(r);
    }
    if (s->j.life > r->life) {
        return FB_E_CORRUPT;
    }
    FB_TRY(settle_open(r));
    if (s->check || s->seen.last != r->state.last) {
        FB_TRY(is_before(r, &before));
        if (!before) {
            return FB_E_CORRUPT;
        }
        if (s->seen.last < r->state.pruned) {
            return second_write(r);
        }
        FB_TRY(catch_up(r));
    }
    s->check = false;
    return FB_OK;
}

fb_code second_payload(replica *r, const stored_group *g)
{
    second *s = &r->second;
    if (!s->on) {
        return FB_OK;
    }
    FB_TRY(second_align(r));
    buf_reset(&s->j.payload);
    stored_group_put(&s->j.payload, g);
    return s->j.payload.code;
}

fb_code second_prepare(replica *r, int64_t gseq)
{
    second *s = &r->second;
    if (!s->on) {
        return FB_OK;
    }
    FB_ASSERT(s->seen.last == r->state.last); /* SEC-1 */
    return journal_append(&s->j, JOURNAL_GROUP, gseq, buf_text(&s->j.payload), true);
}

void second_confirm(replica *r, int64_t gseq, const digest *chain)
{
    second *s = &r->second;
    if (!s->on) {
        return;
    }
    if (journal_confirm(&s->j) != FB_OK) {
        s->check = true; /* the group is in the database: the next one repairs this */
        return;
    }
    s->seen.last = gseq;
    s->seen.chain_last = *chain;
    journal_forget_old(&s->j); /* when the commit told of a new segment */
}

void second_withdraw(replica *r)
{
    if (r->second.on) {
        journal_withdraw(&r->second.j);
    }
}

void second_note(replica *r, journal_type type, int64_t gseq, fb_text payload)
{
    if (r->second.on && r->me.enrolled && second_align(r) == FB_OK) {
        (void)!journal_append(&r->second.j, type, gseq, payload, false);
    }
}

/* --- at open ------------------------------------------------------------------------- */

/* What the second copy lacks is written now or, when that fails, before the next group. */
static fb_code bring_up(replica *r, second_verdict verdict)
{
    if (verdict == SECOND_MISSING) {
        return second_rewrite(r);
    }
    FB_TRY(sql_begin(r->db));
    fb_code rc = replica_refresh(r);
    if (rc == FB_OK) {
        rc = second_align(r);
    }
    sql_rollback(r->db);
    return rc;
}

/* Another process may be saving just now, with a group that only one of the two looks has seen and
 * a record that waits for its commit: what does not match at first sight is judged again alone. */
static fb_code judge_both(replica *r, second_verdict *out)
{
    second *s = &r->second;
    fb_code rc = judge(r, false, out);
    bool matches = rc == FB_OK && *out == SECOND_MATCHES && !s->j.open;
    journal_leave_open(&s->j);
    if (matches || (rc != FB_OK && rc != FB_E_CORRUPT)) {
        return rc;
    }
    *out = SECOND_MATCHES; /* if there is no lock: s->check asks again before the next group */
    FB_TRY(sql_begin(r->db));
    rc = replica_refresh(r);
    if (rc == FB_OK) {
        rc = judge(r, true, out);
    }
    sql_rollback(r->db);
    return rc;
}

fb_code second_start(replica *r, const replica_options *o, second_verdict *out)
{
    second *s = &r->second;
    *out = SECOND_MATCHES;
    if (o->read_only || o->path[0] == ':') { /* in memory there is no "beside" */
        return FB_OK;
    }
    FB_TRY(journal_init(&s->j, o->vfs, o->path));
    s->on = true;
    s->check = true;
    reserve_keep(r);
    fb_code rc = judge_both(r, out);
    if (rc == FB_OK && *out == SECOND_MATCHES) {
        s->check = false;
    } else if (rc == FB_OK && *out != SECOND_AHEAD) {
        rc = bring_up(r, *out);
    }
    bool is_trouble = rc != FB_OK && rc != FB_E_NEWER && rc != FB_E_CORRUPT;
    if (is_trouble && r->me.enrolled) { /* else the second copy may be all there is */
        trace(r->port, TRACE_SECOND, "code=%s", fb_code_name(rc));
        rc = FB_OK; /* reading goes on; saving will say what is wrong */
    }
    return rc;
}

/* --- upkeep -------------------------------------------------------------------------- */

static bool is_worn(const replica *r)
{
    const second *s = &r->second;
    if (s->seen.catalog_version != r->edition->catalog->version ||
        !id_equal(&s->seen.epoch, &r->me.epoch)) {
        return true;
    }
    int64_t gone = r->state.pruned - s->seen.pruned;
    return s->j.end > TEND_FROM_BYTES && gone * 2 > r->state.last - s->seen.pruned;
}

/* What was not looked at, because it could not be read at the open, is not written over. */
static fb_code tend_segment(replica *r)
{
    if (r->second.check) {
        FB_TRY(bring_up(r, SECOND_BEHIND));
    }
    return is_worn(r) ? bring_up(r, SECOND_MISSING) : FB_OK;
}

void second_tend(replica *r)
{
    second *s = &r->second;
    if (s->on && r->me.enrolled) {
        fb_code rc = tend_segment(r);
        if (rc != FB_OK) {
            trace(r->port, TRACE_SECOND, "code=%s", fb_code_name(rc));
        }
    }
    bool due = r->purge_due || sql_log_pages(r->db) >= CHECKPOINT_PAGES;
    if (!due) {
        return;
    }
    if (journal_sync(&s->j) != FB_OK) {
        s->seen.catalog_version = 0; /* the disk may have forgotten records: worn, write it anew */
        return;
    }
    if (r->purge_due && sql_checkpoint_all(r->db) == FB_OK) {
        r->purge_due = !salvage_forget(r); /* PUR-1; else it is tried again after the next commit */
    } else {
        (void)!sql_checkpoint(r->db); /* a later one does it */
    }
}

void second_close(replica *r)
{
    second *s = &r->second;
    (void)!journal_sync(&s->j); /* before the last connection checkpoints: JRN-3 */
    journal_clear(&s->j);
}
