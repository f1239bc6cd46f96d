/* scenes_life.c - see torture.h: the calls that a person makes at the moments of lives.c. Whatever
 * fails on the way, in the end everybody sees the same. */
#include <stdio.h>
#include <string.h>

#include "fault/torture/torture.h"

/* --- a sync --------------------------------------------------------------------------------- */

static fb_code sync_before(stage *s)
{
    return fb_sync_open(s->db, NULL, &s->sync, NULL);
}

/* Until nothing is left. */
static fb_code sync_all(stage *s, fb_error *err)
{
    fb_link link = stage_link(s);
    fb_sync_report report = {0};
    fb_code rc = fb_sync_step(s->sync, &link, 0, &report, err);
    return rc == FB_OK && !report.complete ? FB_E_BUG : rc;
}

static fb_code open_and_sync(stage *s, fb_error *err)
{
    fb_sync_close(s->sync);
    fb_db_close(s->db);
    s->sync = NULL;
    s->db = NULL;
    fb_code rc = stage_open(s, err);
    rc = rc == FB_OK ? fb_sync_open(s->db, NULL, &s->sync, err) : rc;
    return rc == FB_OK ? sync_all(s, err) : rc;
}

static fb_code enrol_again_and_sync(stage *s, fb_error *err)
{
    fb_link link = stage_link(s);
    fb_enrol_options o = FB_ENROL_OPTIONS_INIT;
    o.server_url = "https://test";
    o.code = s->life.code;
    o.again = true;
    fb_code rc = s->enrolled ? FB_OK : fb_enrol(s->db, &link, &o, err);
    s->enrolled = rc == FB_OK;
    rc = rc == FB_OK ? fb_sync_open(s->db, NULL, &s->sync, err) : rc;
    rc = rc == FB_OK ? sync_all(s, err) : rc;
    fb_sync_close(s->sync);
    s->sync = NULL;
    return rc;
}

/* --- what a person sees and does ------------------------------------------------------------ */

static fb_code parked_look(void *ctx, const fb_parked *p)
{
    (void)ctx;
    return p->left_ms > 0 ? FB_OK : FB_E_BUG;
}

static fb_code parked(stage *s, fb_error *err)
{
    return fb_parked_each(s->db, FB_FORM_TEXT, parked_look, NULL, err);
}

static fb_code problem_look(void *ctx, const fb_problem *p)
{
    (void)ctx;
    return p->body.size > 0 ? FB_OK : FB_E_BUG;
}

static fb_code problems(stage *s, fb_error *err)
{
    return fb_problem_each(s->db, problem_look, NULL, err);
}

static fb_code warning_look(void *ctx, const fb_warning *w)
{
    (void)ctx;
    return w->text_zh.size > 0 ? FB_OK : FB_E_BUG;
}

static fb_code warnings(stage *s, fb_error *err)
{
    return fb_warning_each(s->db, warning_look, NULL, err);
}

static fb_code resubmit(stage *s, fb_error *err)
{
    return fb_problem_resubmit(s->db, s->life.refused, NULL, 0, NULL, err);
}

static fb_code discard(stage *s, fb_error *err)
{
    return fb_problem_discard(s->db, s->life.refused, err);
}

static fb_code settle(stage *s, fb_error *err)
{
    static const char *const COLUMNS[] = {"state", "winner", "reason"};
    fb_value values[3] = {{.kind = FB_KIND_TEXT, .u.text = {"resolved", 8}},
                          {.kind = FB_KIND_TEXT, .u.text = {"mine", 4}},
                          {.kind = FB_KIND_TEXT, .u.text = {"asked them", 10}}};
    return fb_record_update(s->db, "conflict", &s->life.conflict,
                            &(fb_record_change){COLUMNS, values, 3}, err);
}

static fb_code check_it(stage *s, fb_error *err)
{
    return fb_db_check(s->db, err);
}

/* clang-format off */
const scene LIFE_SCENES[] = {
    {"sync: packs", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_PACKS)},
    {"sync: packs again, work pending", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_RESET)},
    {"sync: verdicts of every kind", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_VERDICTS)},
    {"sync: the held one is decided", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_DECIDED)},
    {"sync: wrong rows", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_DIGEST)},
    {"sync: ruin", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_RUIN)},
    {"sync: a newer catalogue", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_CATALOG)},
    {"sync: a restored server", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_EPOCH)},
    {"sync: the office was there first", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_OFFICE)},
    {"sync: without the old rights", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_RIGHTS)},
    {"sync: a column was replaced", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_COLUMN)},
    {"sync: one of two phones", sync_before, sync_all, STEPS | SEEN | AT(MOMENT_CLONE)},
    {"fb_db_open: an older database", NULL, open_and_sync, BARE | STEPS | SEEN | AT(MOMENT_COPIED)},
    {"fb_db_open: no database", NULL, open_and_sync, BARE | STEPS | SEEN | AT(MOMENT_LOST)},
    {"fb_enrol: again", NULL, enrol_again_and_sync, STEPS | TOKEN | SEEN | AT(MOMENT_AGAIN)},
    {"fb_parked_each: some", NULL, parked, AT(MOMENT_TRAY)},
    {"fb_problem_each: some", NULL, problems, AT(MOMENT_TRAY)},
    {"fb_warning_each: some", NULL, warnings, AT(MOMENT_TRAY)},
    {"fb_problem_resubmit: with a dependant", NULL, resubmit, AT(MOMENT_TRAY)},
    {"fb_problem_discard: with a dependant", NULL, discard, AT(MOMENT_TRAY)},
    {"fb_record_update: a conflict settled", NULL, settle, AT(MOMENT_TRAY)},
    {"fb_db_check: work of every kind", NULL, check_it, AT(MOMENT_TRAY)},
};
/* clang-format on */
const int LIFE_SCENES_COUNT = sizeof LIFE_SCENES / sizeof *LIFE_SCENES;
