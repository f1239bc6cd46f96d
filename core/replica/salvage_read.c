/* salvage_read.c - what a damaged database still has to say. See salvage.h: SLV-2, SLV-3.
 *
 * Any statement may fail; what was read before stands, and what the machine is to blame for is
 * noted for the caller to judge (SLV-5). Groups are walked from the pruned end on: one whose bytes
 * do not give its chain is left out, and the walk goes on with the chain it names, so that one bad
 * page costs the groups on it only. */
#include <string.h>

#include "replica/salvage.h"
#include "schema/limits.h"

typedef struct reading {
    extras *x;
    const second_seen *seen;
    sql_db *db;
    int64_t pruned;
    digest chain;
    bool chain_known;
    fb_id incarnation;
} reading;

static fb_code extra_add(extras *x, journal_type type, int64_t gseq, fb_text payload)
{
    extra *e = arena_take(x->memory, sizeof *e);
    if (e == NULL) {
        return FB_E_NO_MEMORY;
    }
    *e = (extra){.type = type, .gseq = gseq, .payload = arena_text(x->memory, payload)};
    if (e->payload.data == NULL) {
        return FB_E_NO_MEMORY;
    }
    *x->end = e;
    x->end = &e->next;
    return FB_OK;
}

fb_code extras_init(extras *x)
{
    *x = (extras){.memory = arena_new(EXTRAS_BYTES_MAX)};
    x->end = &x->first;
    buf_init(&x->marks, EXTRAS_BYTES_MAX);
    buf_init(&x->line, GROUP_BYTES_MAX);
    buf_init(&x->packed, JOURNAL_RECORD_BYTES_MAX);
    return x->memory != NULL ? FB_OK : FB_E_NO_MEMORY;
}

void extras_clear(extras *x)
{
    buf_clear(&x->marks);
    buf_clear(&x->line);
    buf_clear(&x->packed);
    arena_free(x->memory);
}

static fb_code note_trouble(extras *x, fb_code rc)
{
    if (x->trouble == FB_OK && code_is_machines(rc)) {
        x->trouble = rc;
    }
    return rc == FB_E_NO_MEMORY ? rc : FB_OK;
}

static uint64_t mark_of(fb_text line)
{
    digest d;
    uint64_t mark = 0;
    digest_of(line.data, line.size, &d);
    memcpy(&mark, d.b, sizeof mark);
    return mark;
}

fb_code extras_mark(extras *x, fb_text stored)
{
    FB_TRY(body_unpack(&x->line, stored, GROUP_BYTES_MAX));
    uint64_t mark = mark_of(buf_text(&x->line));
    buf_put(&x->marks, &mark, sizeof mark);
    return x->marks.code;
}

static bool is_marked(const extras *x, uint64_t mark)
{
    for (size_t i = 0; i + sizeof mark <= x->marks.size; i += sizeof mark) {
        if (memcmp(x->marks.data + i, &mark, sizeof mark) == 0) {
            return true;
        }
    }
    return false;
}

/* --- identity ------------------------------------------------------------------------ */

static void note_name(reading *w, const named_value *n, bool *enrolled)
{
    if (text_is(n->name, "enrolled")) {
        *enrolled = n->kind == NAMED_INT && n->number == 1;
    } else if (text_is(n->name, "pruned") && n->kind == NAMED_INT) {
        w->pruned = n->number;
    } else if (text_is(n->name, "pruned_chain") && n->bytes.size == sizeof w->chain.b) {
        memcpy(w->chain.b, n->bytes.data, sizeof w->chain.b);
        w->chain_known = true;
    } else if (text_is(n->name, "incarnation") && n->bytes.size == sizeof w->incarnation.b) {
        memcpy(w->incarnation.b, n->bytes.data, sizeof w->incarnation.b);
    } else if (text_is(n->name, "file_id") && n->bytes.size == sizeof w->x->file_id.b) {
        memcpy(w->x->file_id.b, n->bytes.data, sizeof w->x->file_id.b);
    }
}

/* fb_meta as one identity record, when every row of it could be read. */
static fb_code read_identity(reading *w)
{
    bool row = false;
    bool enrolled = false;
    sql_stmt *q = sql_prepare(w->db, second_identity_text);
    buf_reset(&w->x->packed);
    FB_TRY(sql_step(q, &row));
    while (row) {
        const named_value n = named_of_row(q);
        named_put(&w->x->packed, &n);
        note_name(w, &n, &enrolled);
        FB_TRY(sql_step(q, &row));
    }
    if (w->pruned == 0 && !id_is_none(&w->incarnation)) {
        chain_start(&w->incarnation, &w->chain);
        w->chain_known = true;
    }
    if (!enrolled || id_is_none(&w->incarnation) || !w->chain_known) {
        return FB_E_CORRUPT;
    }
    w->x->identity = true;
    return w->seen->identity ? FB_OK
                             : extra_add(w->x, JOURNAL_IDENTITY, 0, buf_text(&w->x->packed));
}

/* --- groups -------------------------------------------------------------------------- */

static fb_code keep_group(reading *w, sql_stmt *q, int64_t gseq)
{
    extras *x = w->x;
    fb_text chain = sql_blob(q, 4);
    stored_group g = {.at_ms = sql_int(q, 1),
                      .kind = sql_text(q, 2),
                      .body = sql_blob(q, 3),
                      .state = (uint8_t)sql_int(q, 5)};
    digest made;
    if (chain.size != sizeof made.b) {
        w->chain_known = false;
        return FB_OK;
    }
    fb_code rc = body_unpack(&x->line, g.body, GROUP_BYTES_MAX);
    if (rc == FB_OK && w->chain_known) {
        digest_chain(&w->chain, x->line.data, x->line.size, &made);
        rc = memcmp(made.b, chain.data, sizeof made.b) == 0 ? FB_OK : FB_E_CORRUPT;
    } else if (rc == FB_OK) {
        rc = FB_E_CORRUPT; /* nothing proves it */
    }
    memcpy(w->chain.b, chain.data, chain.size);
    w->chain_known = true;
    if (rc != FB_OK || is_marked(x, mark_of(buf_text(&x->line)))) {
        return rc == FB_E_NO_MEMORY ? rc : FB_OK;
    }
    g.chain = w->chain;
    buf_reset(&x->packed);
    stored_group_put(&x->packed, &g);
    if (x->packed.code != FB_OK) { /* no kind is that long: its line is not in doubt, its row is */
        return x->packed.code == FB_E_NO_MEMORY ? FB_E_NO_MEMORY : FB_OK;
    }
    return extra_add(x, JOURNAL_GROUP, gseq, buf_text(&x->packed));
}

/* From the group behind `gseq` on, as far as the file can be read. */
static fb_code read_groups_from(reading *w, int64_t *gseq)
{
    bool row = false;
    sql_stmt *q = sql_prepare(w->db, "SELECT gseq, at_ms, kind, body, chain, state FROM fb_outbox"
                                     " WHERE gseq > ?1 ORDER BY gseq");
    sql_bind_int(q, 1, *gseq);
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row) {
        int64_t here = sql_int(q, 0);
        w->chain_known = w->chain_known && here == *gseq + 1;
        *gseq = here;
        rc = keep_group(w, q, here);
        if (rc == FB_OK) {
            rc = sql_step(q, &row);
        }
    }
    sql_reset(q);
    return rc;
}

static fb_code read_groups(reading *w)
{
    enum { BAD_MAX = 1000 };
    int64_t gseq = w->pruned;
    for (int bad = 0; bad < BAD_MAX; bad++) {
        int64_t before = gseq;
        fb_code rc = read_groups_from(w, &gseq);
        FB_TRY(note_trouble(w->x, rc));
        if (rc != FB_E_CORRUPT && rc != FB_E_IO) {
            return FB_OK;
        }
        gseq += gseq == before; /* over the place that cannot be read */
        w->chain_known = w->chain_known && gseq != before + 1;
    }
    return FB_OK;
}

/* --- the rest ------------------------------------------------------------------------ */

static fb_code read_counters(reading *w)
{
    bool row = false;
    sql_stmt *q = sql_prepare(w->db, "SELECT name, next, 'integer' FROM fb_counter");
    buf_reset(&w->x->packed);
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row) {
        const named_value n = named_of_row(q);
        named_put(&w->x->packed, &n);
        rc = sql_step(q, &row);
    }
    sql_reset(q);
    FB_TRY(note_trouble(w->x, rc));
    return w->x->packed.size > 0 ? extra_add(w->x, JOURNAL_COUNTERS, 0, buf_text(&w->x->packed))
                                 : FB_OK;
}

/* The second copy has them, unless there is none. */
static fb_code read_drafts(reading *w)
{
    bool row = false;
    sql_stmt *q = sql_prepare(w->db, "SELECT id, updated_ms, kind, body FROM fb_draft");
    fb_code rc = sql_step(q, &row);
    while (rc == FB_OK && row) {
        const draft d = {.id = sql_id(q, 0),
                         .updated_ms = sql_int(q, 1),
                         .kind = sql_text(q, 2),
                         .body = sql_text(q, 3)};
        buf_reset(&w->x->packed);
        second_draft_put(&w->x->packed, &d);
        rc = extra_add(w->x, JOURNAL_DRAFT, 0, buf_text(&w->x->packed));
        if (rc == FB_OK) {
            rc = sql_step(q, &row);
        }
    }
    sql_reset(q);
    return note_trouble(w->x, rc);
}

static fb_code read_all(reading *w)
{
    fb_code rc = read_identity(w);
    if (rc != FB_OK) {
        w->x->identity = false; /* nothing else in it can be trusted to be this file's */
        return note_trouble(w->x, rc);
    }
    if (w->seen->identity && !id_equal(&w->x->file_id, &w->seen->file_id)) {
        return FB_OK; /* SLV-3 */
    }
    FB_TRY(read_groups(w));
    FB_TRY(read_counters(w));
    return w->seen->identity ? FB_OK : read_drafts(w);
}

fb_code extras_read(const replica_options *o, const second_seen *seen, extras *x)
{
    const sql_options so = {.read_only = o->read_only,
                            .vfs = o->vfs,
                            .page_sums = true,
                            .busy_timeout_ms = BUSY_TIMEOUT_MS};
    sql_db *db = NULL;
    fb_code rc = sql_open(o->path, &so, &db, NULL);
    if (rc != FB_OK) {
        return note_trouble(x, rc);
    }
    reading w = {.x = x, .seen = seen, .db = db};
    rc = read_all(&w);
    sql_close(db);
    return rc;
}
