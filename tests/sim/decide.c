/* decide.c - what people decide: managers about work that waits and values that lost a merge, the
 * administrator at the server, authors about what was refused. See sim.h.
 *
 * A decision is made over what the device shows, which may be out of date: somebody else was first,
 * the phone of the author has a new life, the server was put back to before it. What is given up by
 * its author may be there or not; everything else must be, once, or in the tray, or refused by a
 * person at a server that has the only copy. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync-server/intake/intake.h"
#include "sync-server/ledger/ledger.h"

enum { OPEN_MAX = 64, WORK_BYTES_MAX = 64 << 20 };

/* ---- on a device ---- */

static fb_code id_seen(void *ctx, const fb_row *row)
{
    return id_get(row->values[0].u.text, ctx) ? FB_OK : FB_E_CORRUPT;
}

/* One of the first rows that this device shows; none when there is none. */
static bool row_pick(sim_device *d, const char *from_where, fb_id *out)
{
    char sql[200];
    *out = (fb_id){{0}};
    snprintf(sql, sizeof sql, "SELECT id FROM %s ORDER BY id LIMIT 1 OFFSET %d", from_where,
             (int)sim_random(d->world, 4));
    return fb_query(d->db, sql, NULL, id_seen, out, NULL) == FB_OK && !id_is_none(out);
}

static fb_code act_held(sim_device *d, const fb_id *row, sim_action *a, const char *mark)
{
    char json[160];
    bool accepts = sim_chance(d->world, 60);
    (void)mark;
    a->entity = "held_group";
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"state\":\"%s\",\"reason\":\"because\"}",
             id_text(row), accepts ? "accepted" : "rejected");
    return fb_record_put_json(d->db, "held_group", json, NULL, NULL);
}

static sim_device *a_manager(sim *s)
{
    int from = (int)sim_random(s, (uint64_t)s->devices_count);
    for (int i = 0; i < s->devices_count; i++) {
        sim_device *d = &s->devices[(from + i) % s->devices_count];
        if (d->manager && device_alive(d)) {
            return d;
        }
    }
    return NULL;
}

bool decide_held(sim *s, sim_device *d)
{
    sim_device *m = a_manager(s);
    fb_id row;
    (void)d;
    return m != NULL && row_pick(m, "held_group WHERE state='open' AND role='MGR'", &row) &&
           act_do(m, act_held, &row);
}

static fb_code act_reopen(sim_device *d, const fb_id *row, sim_action *a, const char *mark)
{
    char json[120];
    (void)mark;
    a->entity = "conflict";
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"state\":\"open\"}", id_text(row));
    return fb_record_put_json(d->db, "conflict", json, NULL, NULL);
}

static fb_code act_settle(sim_device *d, const fb_id *row, sim_action *a, const char *mark)
{
    static const char *const WINNERS[] = {"mine", "theirs", "base"};
    char json[160];
    (void)mark;
    a->entity = "conflict";
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"state\":\"resolved\",\"winner\":\"%s\"}",
             id_text(row), WINNERS[sim_random(d->world, 3)]);
    return fb_record_put_json(d->db, "conflict", json, NULL, NULL);
}

/* A manager asks whoever sees it to settle it anew; whoever sees one that is open settles it. */
bool decide_conflict(sim *s, sim_device *d)
{
    sim_device *m = a_manager(s);
    fb_id row;
    if (device_alive(d) && row_pick(d, "conflict WHERE state='open'", &row)) {
        return act_do(d, act_settle, &row);
    }
    if (m != NULL && row_pick(m, "conflict WHERE state IN ('decided','resolved')", &row)) {
        (void)act_do(m, act_reopen, &row);
    }
    return false; /* counted when it is settled */
}

/* ---- the tray ---- */

typedef struct trouble {
    int64_t gseq[OPEN_MAX];
    uint32_t mark[OPEN_MAX]; /* of the group; 0: it holds none */
    int count;
    char word[24]; /* what every mark of this life begins with */
} trouble;

static uint32_t mark_in(const trouble *t, fb_text body)
{
    size_t n = strlen(t->word);
    const char *at = memmem(body.data, body.size, t->word, n);
    return at == NULL ? 0 : (uint32_t)strtoul(at + n, NULL, 10);
}

static fb_code trouble_seen(void *ctx, const fb_problem *p)
{
    trouble *t = ctx;
    if (t->count < OPEN_MAX && !text_is(p->state, "held")) {
        t->gseq[t->count] = p->gseq;
        t->mark[t->count++] = mark_in(t, p->body);
    }
    return FB_OK;
}

/* It may be there or not: the author gave it up, or a copy of his phone did not. */
static void given_up(sim *s, uint32_t mark)
{
    for (int i = 0; i < s->actions_count; i++) {
        s->actions[i].doubt |= s->actions[i].mark == mark;
    }
}

bool decide_tray(sim *s, sim_device *d)
{
    trouble t = {.count = 0};
    int64_t gseq = 0;
    fb_error err = {0};
    snprintf(t.word, sizeof t.word, "mark-%llu-", (unsigned long long)s->seed);
    if (!device_alive(d) || fb_problem_each(d->db, trouble_seen, &t, NULL) != FB_OK ||
        t.count == 0) {
        return false;
    }
    int i = (int)sim_random(s, (uint64_t)t.count);
    bool again = sim_chance(s, 60);
    record_save(d);
    fb_code rc = again ? fb_problem_resubmit(d->db, t.gseq[i], NULL, 0, &gseq, &err)
                       : fb_problem_discard(d->db, t.gseq[i], &err);
    record_saved(d, rc);
    sim_trace(s, "%s %s %lld -> %s gseq=%lld", d->machine, again ? "sends again" : "gives up",
              (long long)t.gseq[i], fb_code_name(rc), (long long)gseq);
    if (!again) {
        given_up(s, t.mark[i]);
    }
    if (rc == FB_E_CORRUPT) {
        device_restart(d);
    }
    return rc == FB_OK;
}

/* ---- at the server ---- */

/* A group that waits, of whatever life of a device. */
static bool waiting_pick(sim *s, sqlite3 *look, intake_decision *how)
{
    sqlite3_stmt *q = NULL;
    bool found = false;
    if (sqlite3_prepare_v2(look,
                           "SELECT i.device, v.incarnation, v.gseq FROM fs_verdict v JOIN "
                           "fs_incarnation i ON i.no = v.incarnation WHERE v.code = 4 AND v.state "
                           "= 0 ORDER BY v.incarnation, v.gseq LIMIT 1 OFFSET ?1",
                           -1, &q, NULL) != SQLITE_OK) {
        sim_violation(s, "the administrator's SQL is wrong: %s", sqlite3_errmsg(look));
        return false;
    }
    sqlite3_bind_int(q, 1, (int)sim_random(s, 4));
    if (sqlite3_step(q) == SQLITE_ROW && sqlite3_column_bytes(q, 0) == (int)sizeof how->device.b) {
        memcpy(how->device.b, sqlite3_column_blob(q, 0), sizeof how->device.b);
        how->incarnation_no = sqlite3_column_int64(q, 1);
        how->gseq = sqlite3_column_int64(q, 2);
        found = true;
    }
    sqlite3_finalize(q);
    return found;
}

/* What fieldbook-admin held does. */
static fb_code decision_write(sim *s, store *db, const intake_decision *how)
{
    intake in = {.db = db, .cache = decide_cache_new(), .work = arena_new(WORK_BYTES_MAX)};
    int64_t head = 0;
    fb_code rc = in.cache != NULL && in.work != NULL ? store_begin(db) : FB_E_NO_MEMORY;
    if (rc == FB_OK) {
        rc = ledger_head(db, &head);
        rc = rc == FB_OK ? decide_cache_begin(in.cache, db, head, s->now_ms) : rc;
        rc = rc == FB_OK ? intake_held_decide(&in, how) : rc;
        rc = rc == FB_OK ? store_commit(db) : rc;
        if (rc != FB_OK) {
            store_rollback(db);
        }
    }
    decide_cache_free(in.cache);
    arena_free(in.work);
    return rc;
}

bool decide_at_server(sim *s, sim_device *d)
{
    intake_decision how = {.accept = sim_chance(s, 60), .now_ms = s->now_ms};
    (void)d;
    if (!server_sound(s)) {
        return false;
    }
    how.reason = text_of(how.accept ? "" : "the office says no");
    sqlite3 *look = open_file(s, "server/master.db");
    bool found = look != NULL && waiting_pick(s, look, &how);
    sqlite3_close(look);
    store *db = found ? world_store_open("server/master.db") : NULL;
    if (db == NULL) {
        return false;
    }
    fb_code rc = decision_write(s, db, &how);
    store_close(db);
    sim_trace(s, "office %s group %lld of life %lld -> %s", how.accept ? "accepts" : "refuses",
              (long long)how.gseq, (long long)how.incarnation_no, fb_code_name(rc));
    if (rc == FB_E_STATE || rc == FB_E_NOT_FOUND) {
        sim_violation(s, "a group that waits cannot be decided: %s", fb_code_name(rc));
    }
    return rc == FB_OK;
}
