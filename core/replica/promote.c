/* promote.c - the moment downloads and verdicts become visible: one transaction, PRO-1 before and
 * after.
 *
 *   take the groups on top off, newest first          undo.c
 *   copy what open groups need and may leave           parked.c    (then wipe, when a page says
 * reset) for each staged page in order: groups that its snapshot holds and that stood as sent
 * become base state     replay.c its rows page.c groups with another verdict change their state,
 * what was erased is forgotten    forget.c put what is still on top on again, oldest first
 * replay.c
 *
 * The order inside the loop matters: a page that was read before a group was applied must not
 * overwrite it, one that was read after it must. With nothing staged, nothing held and no verdict
 * but plain ones no row moves: the groups on top simply become base. */
#include <string.h>

#include "base/trace.h"
#include "replica/room.h"
#include "schema/limits.h"

typedef enum group_role {
    ROLE_NONE, /* neither on top nor to be: rejected, closed */
    ROLE_KEEP, /* stays on top: pending or held */
    ROLE_BASE, /* stood as sent: its ops become base state */
    ROLE_ECHO, /* the base holds it already: its rows came in a page */
    ROLE_DROP  /* refused: effect stays off, the tray shows it */
} group_role;

typedef struct promo_group {
    int64_t gseq;
    group_state state, state_next;
    verdict_code verdict; /* 0: none that is not in effect yet */
    bool echo;
    group_role role;
} promo_group;

typedef struct promo {
    replica *r;
    const promotion *p;
    arena *memory;
    promo_group *groups;
    uint32_t count, room;
    uint32_t next_base; /* groups before it are done as base */
    bool reset;
    int64_t reset_applied; /* what the reset page's snapshot holds */
    int64_t based_next;
    buf page;
    late_indexes late;
} promo;

bool group_is_on_top(const replica *r, int64_t gseq, int64_t state)
{
    FB_ASSERT(gseq > 0); /* of this life */
    return state == STATE_HELD || (state == STATE_PENDING && gseq > r->state.based); /* VIS-1 */
}

/* --- which groups, in which role ----------------------------------------------------- */

static fb_code add_group(promo *m, const promo_group *g)
{
    if (m->count == m->room) {
        uint32_t room = m->room > 0 ? m->room * 2 : 64;
        promo_group *grown = arena_take(m->memory, room * sizeof *grown);
        if (grown == NULL) {
            return FB_E_NO_MEMORY;
        }
        if (m->count > 0) {
            memcpy(grown, m->groups, m->count * sizeof *grown);
        }
        m->groups = grown;
        m->room = room;
    }
    m->groups[m->count++] = *g;
    return FB_OK;
}

static const char groups_text[] =
    "SELECT o.gseq, o.state, coalesce(v.code, 0), coalesce(v.echo, 0) FROM fb_outbox o"
    " LEFT JOIN fb_verdict v ON v.gseq=o.gseq AND v.in_effect=0 WHERE o.gseq > ?1 AND o.gseq > 0"
    " UNION ALL "
    "SELECT o.gseq, o.state, coalesce(v.code, 0), coalesce(v.echo, 0) FROM fb_outbox o"
    " LEFT JOIN fb_verdict v ON v.gseq=o.gseq AND v.in_effect=0 WHERE o.state<>0 AND o.state=1 AND "
    "o.gseq BETWEEN "
    "1 AND ?1"
    " ORDER BY 1";

static fb_code load_groups(promo *m)
{
    bool row = false;
    sql_stmt *s = sql_prepare(m->r->db, groups_text);
    sql_bind_int(s, 1, m->r->state.settled);
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row) {
        const promo_group g = {.gseq = sql_int(s, 0),
                               .state = (group_state)sql_int(s, 1),
                               .state_next = (group_state)sql_int(s, 1),
                               .verdict = (verdict_code)sql_int(s, 2),
                               .echo = sql_int(s, 3) != 0};
        bool known = sql_int(s, 2) >= 0 && sql_int(s, 2) <= VERDICT_BLOCKED;
        rc = known ? add_group(m, &g) : FB_E_CORRUPT;
        if (rc == FB_OK) {
            rc = sql_step(s, &row);
        }
    }
    sql_reset(s);
    return rc == FB_E_CORRUPT ? file_broken(m->r) : rc;
}

/* A verdict other than plain applied. What a person closed stays closed. */
static void decide_by_verdict(promo_group *g)
{
    switch (g->verdict) {
    case VERDICT_REJECTED:
        g->role = ROLE_DROP;
        g->state_next = g->state == STATE_CLOSED ? STATE_CLOSED : STATE_REJECTED;
        return;
    case VERDICT_BLOCKED:
        g->role = ROLE_DROP;
        g->state_next = g->state == STATE_CLOSED ? STATE_CLOSED : STATE_BLOCKED;
        return;
    case VERDICT_HELD:
        g->role = ROLE_KEEP;
        g->state_next = STATE_HELD;
        return;
    case VERDICT_APPLIED:
    case VERDICT_MERGED:
    case VERDICT_ALIAS:
        g->role = ROLE_ECHO;
        g->state_next = STATE_PENDING;
        return;
    }
    FB_ASSERT(false);
}

static void decide_role(const promo *m, promo_group *g)
{
    const replica_state *s = &m->r->state;
    if (g->verdict != 0 && g->gseq <= s->acked) {
        decide_by_verdict(g);
    } else if (g->state == STATE_HELD && (g->gseq <= s->settled || g->gseq > s->acked)) {
        g->role = ROLE_KEEP; /* between the two a new epoch answered it anew: it stood as sent */
    } else if (g->gseq <= s->acked) {
        bool inside = g->gseq <= s->based || (m->reset && g->gseq <= m->reset_applied);
        g->role = inside ? ROLE_ECHO : ROLE_BASE;
        g->state_next = STATE_PENDING;
    } else if (g->state != STATE_PENDING) {
        g->role = ROLE_NONE;
    } else {
        g->role = g->gseq <= m->based_next ? ROLE_ECHO : ROLE_KEEP; /* VIS-2 */
    }
}

/* --- taking off ---------------------------------------------------------------------- */

fb_code base_wipe(replica *r)
{
    const catalog *c = r->edition->catalog;
    r->purge_due = true;
    for (uint32_t i = 0; i < c->entities_count; i++) {
        buf_reset(&r->text);
        buf_printf(&r->text, "DELETE FROM %.*s", (int)c->entities[i].name.size,
                   c->entities[i].name.data);
        const char *text = buf_cstr(&r->text);
        FB_TRY(r->text.code);
        FB_TRY(sql_exec(r->db, text));
        observe_entity(r, &c->entities[i]);
    }
    return run_text(r, "DELETE FROM fb_unknown");
}

/* Most promotions take no row away. */
static bool rows_may_leave(const promo *m)
{
    static const char leave[] = "\"k\":\"leave\"";
    fb_text lines = m->p->lines;
    return m->reset || !m->p->direct || bucket_set_count(&m->p->page->fix) > 0 ||
           (lines.size > 0 && memmem(lines.data, lines.size, leave, sizeof leave - 1) != NULL);
}

static fb_code undo_groups(promo *m)
{
    for (uint32_t i = m->count; i > 0; i--) {
        const promo_group *g = &m->groups[i - 1];
        if (group_is_on_top(m->r, g->gseq, g->state)) {
            FB_TRY(group_undo(m->r, g->gseq));
        }
    }
    return FB_OK;
}

static fb_code take_off(promo *m)
{
    bool stale = m->r->state.base_stale;
    FB_ASSERT(m->reset || !stale); /* VIS-3 */
    FB_TRY(stale ? FB_OK : undo_groups(m));
    FB_TRY(rows_may_leave(m) ? parked_gather(m->r) : FB_OK);
    FB_TRY(m->reset ? base_wipe(m->r) : FB_OK);
    FB_TRY(run_text(m->r, "DELETE FROM fb_undo"));
    return run_text(m->r, "DELETE FROM fb_warning");
}

/* --- aliases ------------------------------------------------------------------------- */

static fb_code take_alias(promo *m, int64_t gseq, fb_text entity, fb_text from_text,
                          fb_text to_text)
{
    fb_id from;
    fb_id to;
    if (!id_get(from_text, &from) || !id_get(to_text, &to) || id_equal(&from, &to)) {
        return fail(m->p->err, FB_E_PROTOCOL, "alias",
                    "an alias names two different ids: report it; nothing was changed");
    }
    FB_TRY(alias_store(m->r, gseq, entity, &from, &to));
    return alias_rewrite(m->r, entity, &from, &to);
}

static fb_code take_aliases(promo *m, int64_t gseq)
{
    bool row = false;
    reply_item item;
    sql_stmt *s = sql_prepare(m->r->db, "SELECT body FROM fb_verdict WHERE gseq=?1");
    sql_bind_int(s, 1, gseq);
    FB_TRY(sql_step(s, &row));
    FB_ASSERT(row); /* load_groups has joined it */
    fb_text line = arena_text(m->memory, sql_text(s, 0));
    sql_reset(s);
    FB_TRY(line.data != NULL ? FB_OK : FB_E_NO_MEMORY); /* which is no damage */
    fb_code rc = reply_item_get(line, m->memory, &item);
    if (rc != FB_OK) { /* it could be read when it came */
        return code_is_machines(rc) ? rc : file_broken(m->r);
    }
    for (uint32_t i = 0; i < item.verdict.aliases_count; i++) {
        const struct verdict_alias *a = &item.verdict.aliases[i];
        FB_TRY(take_alias(m, gseq, a->entity, a->from, a->to));
    }
    return FB_OK;
}

static fb_code take_all_aliases(promo *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->groups[i].verdict == VERDICT_ALIAS) {
            FB_TRY(take_aliases(m, m->groups[i].gseq));
        }
    }
    return FB_OK;
}

/* --- pages --------------------------------------------------------------------------- */

/* Groups that stood as sent, up to the one the next page's snapshot holds. */
static fb_code become_base(promo *m, int64_t applied)
{
    while (m->next_base < m->count && m->groups[m->next_base].gseq <= applied) {
        const promo_group *g = &m->groups[m->next_base++];
        if (g->role == ROLE_BASE) {
            FB_TRY(group_replay(m->r, g->gseq, REPLAY_BASE));
        }
    }
    return FB_OK;
}

/* Staged page behind n, unpacked into m->page; *found false at the end. */
static fb_code staged_next(promo *m, int64_t *n, int64_t *applied, bool *found)
{
    sql_stmt *s = sql_prepare(
        m->r->db, "SELECT n, applied, body FROM fb_stage WHERE n > ?1 ORDER BY n LIMIT 1");
    sql_bind_int(s, 1, *n);
    FB_TRY(sql_step(s, found));
    if (!*found) {
        return FB_OK;
    }
    *n = sql_int(s, 0);
    *applied = sql_int(s, 1);
    fb_text stored = sql_blob(s, 2);
    fb_code rc = stored.size > 0 ? body_unpack(&m->page, stored, PAGE_BYTES_MAX) : FB_E_CORRUPT;
    sql_reset(s);
    return rc == FB_E_CORRUPT ? file_broken(m->r) : rc;
}

/* The page holds every row of these buckets: what it does not name is not to be there. */
static fb_code empty_wrong_buckets(const promo *m)
{
    const bucket_set *fix = &m->p->page->fix;
    return bucket_set_count(fix) > 0 ? sums_empty_buckets(m->r, fix) : FB_OK;
}

static fb_code apply_staged(promo *m)
{
    int64_t n = 0;
    int64_t applied = 0;
    bool found = false;
    FB_TRY(staged_next(m, &n, &applied, &found));
    while (found) {
        bool more = false;
        FB_TRY(become_base(m, applied));
        FB_TRY(read_int(m->r, "SELECT 1 FROM fb_stage WHERE n > ?1 LIMIT 1", n, &more, &applied));
        if (!more) { /* the complete one */
            FB_TRY(empty_wrong_buckets(m));
        }
        FB_TRY(page_apply(m->r, buf_text(&m->page), m->p->err));
        FB_TRY(staged_next(m, &n, &applied, &found));
    }
    return FB_OK;
}

static fb_code count_staged(promo *m, page_counts *counts)
{
    bool row = false;
    sql_stmt *s = sql_prepare(m->r->db, "SELECT counts FROM fb_stage");
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row) {
        rc = page_counts_add(m->r, sql_text(s, 0), counts);
        if (rc == FB_OK) {
            rc = sql_step(s, &row);
        }
    }
    sql_reset(s);
    return rc;
}

static fb_code apply_pages(promo *m)
{
    page_counts counts;
    FB_TRY(page_counts_new(m->r, m->memory, &counts));
    if (m->p->direct) {
        FB_TRY(page_count(m->r, m->p->lines, &counts, m->p->err));
        m->p->result->rows = counts.total;
    } else {
        FB_TRY(count_staged(m, &counts));
    }
    FB_TRY(late_drop(m->r, &counts, &m->late));
    FB_TRY(unknown_apply(m->r, m->p->err));
    if (m->p->direct) {
        FB_TRY(become_base(m, m->p->head->applied));
        FB_TRY(empty_wrong_buckets(m));
        FB_TRY(page_apply(m->r, m->p->lines, m->p->err));
    } else {
        FB_TRY(apply_staged(m));
    }
    FB_TRY(become_base(m, INT64_MAX));
    return late_create(m->r, &m->late);
}

/* --- putting on again, settling ------------------------------------------------------ */

static fb_code put_on(promo *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        const promo_group *g = &m->groups[i];
        if (g->state != g->state_next) {
            FB_TRY(outbox_state_put(m->r, g->gseq, g->state_next));
        }
        if (g->role == ROLE_KEEP) {
            FB_TRY(group_replay(m->r, g->gseq, REPLAY_PENDING));
        }
    }
    return FB_OK;
}

/* Images of groups that are base now; held ones keep theirs. */
static fb_code drop_images(replica *r)
{
    return run_int(r,
                   "DELETE FROM fb_undo WHERE gseq <= ?1 AND gseq NOT IN (SELECT gseq FROM "
                   "fb_outbox WHERE state<>0 AND state=1)",
                   r->state.settled);
}

static fb_code settle(replica *r, const promotion *p, int64_t based)
{
    buf token;
    r->state.settled = r->state.acked;
    r->state.based = based;
    r->state.head_cid = p->head->head;
    FB_TRY(run_int(r, "DELETE FROM fb_ack WHERE gseq_to <= ?1", r->state.versioned));
    buf_init(&token, SYNC_BODY_BYTES_MAX);
    fb_code rc = replica_meta_get(r, "token", &token);
    if (rc == FB_OK && !text_equal(buf_text(&token), p->page->token)) {
        rc = meta_put_text(r, "token", p->page->token);
    }
    buf_clear(&token);
    FB_TRY(rc);
    return outbox_prune(r);
}

static fb_code run_steps(promo *m)
{
    replica *r = m->r;
    for (uint32_t i = 0; i < m->count; i++) {
        decide_role(m, &m->groups[i]);
    }
    FB_TRY(take_off(m));
    FB_TRY(sums_begin(r, m->reset));
    if (!m->reset) {
        FB_TRY(sums_own_versions(r));
    }
    FB_TRY(take_all_aliases(m));
    FB_TRY(apply_pages(m));
    FB_TRY(digest_judge(r, m->p->page, m->reset, m->p->direct, m->p->result));
    FB_TRY(sums_end(r));
    FB_TRY(parked_settle(r));
    r->state.versioned = r->state.acked;
    FB_TRY(forget_erased(r));
    FB_TRY(put_on(m));
    FB_TRY(run_text(r, "UPDATE fb_verdict SET in_effect=1 WHERE in_effect=0"));
    if (!m->p->direct) {
        FB_TRY(run_text(r, "DELETE FROM fb_stage"));
        FB_TRY(meta_drop(r, "token_staged"));
    }
    r->state.visible++;
    if (m->reset) {
        r->state.base_stale = false;
        r->state.old_base = r->state.old_base < 0 ? r->state.last : r->state.old_base;
    }
    rights_forget(r);
    m->p->result->promoted = true;
    FB_TRY(settle(r, m->p, m->based_next));
    FB_TRY(parked_prune(r));
    return r->state.digest_state == DIGEST_ANEW ? meta_drop(r, "token") : FB_OK;
}

static fb_code find_reset(promo *m)
{
    bool found = false;
    if (m->p->direct) {
        m->reset = m->p->page->reset;
        m->reset_applied = m->p->head->applied;
        return FB_OK;
    }
    FB_TRY(read_int(m->r, "SELECT applied FROM fb_stage WHERE reset=?1 ORDER BY n DESC LIMIT 1", 1,
                    &found, &m->reset_applied));
    m->reset = found;
    return FB_OK;
}

static fb_code promote_rows(replica *r, const promotion *p)
{
    promo m = {.r = r, .p = p};
    m.memory = arena_new(ARENA_BYTES_LIMIT);
    m.late.memory = m.memory;
    if (m.memory == NULL) {
        return FB_E_NO_MEMORY;
    }
    buf_init(&m.page, PAGE_BYTES_MAX);
    m.based_next = p->head->applied > r->state.acked ? p->head->applied : r->state.acked;
    fb_code rc = find_reset(&m);
    if (rc == FB_OK) {
        rc = load_groups(&m);
    }
    if (rc == FB_OK) {
        rc = run_steps(&m);
    }
    r->sums.counting = false;
    buf_clear(&m.page);
    arena_free(m.memory);
    return rc;
}

/* Is there anything that moves a row? Held groups count: what is settled below them must go
 * underneath, or taking them off later would take it off too. So do groups whose effect is off but
 * that stood as sent when a restored server was asked again. */
static fb_code rows_move(replica *r, const promotion *p, bool *out)
{
    int64_t any = 0;
    if (!p->direct || p->lines.size > 0 || p->page->reset || p->page->totals.size > 0) {
        *out = true;
        return FB_OK;
    }
    /* A row that was deleted gives no sign of which version it had. */
    FB_TRY(images_delete(r, r->state.settled, r->state.acked, out));
    if (*out) {
        return FB_OK;
    }
    FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_verdict WHERE in_effect=0)", &any));
    if (any == 0 && r->state.acked > r->state.settled) {
        bool found = false;
        FB_TRY(read_int(r,
                        "SELECT 1 FROM fb_outbox WHERE state<>0 AND (gseq > ?1 OR (state=1 AND "
                        "gseq > 0)) LIMIT 1",
                        r->state.settled, &found, &any));
    }
    if (any == 0) {
        FB_TRY(forget_due(r, out));
        any = *out;
    }
    if (any == 0 && p->result->catalog_changed) {
        FB_TRY(read_count(r, "SELECT EXISTS (SELECT 1 FROM fb_unknown)", &any));
    }
    *out = any != 0;
    return FB_OK;
}

fb_code promote(replica *r, const promotion *p)
{
    bool moves = false;
    FB_TRY(rows_move(r, p, &moves));
    trace(r->port, TRACE_PROMOTE, "settled=%lld rows_move=%d", (long long)r->state.acked, moves);
    if (moves) {
        return promote_rows(r, p);
    }
    FB_TRY(settle(r, p, r->state.acked));
    FB_TRY(parked_prune(r));
    return drop_images(r);
}
