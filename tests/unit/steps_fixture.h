/* steps_fixture.h - a large step of a replica, in which every statement and every request to an
 * arena fails once.
 *
 * Method: as fb-torture --calls. A step runs once undisturbed; then, from the same files, it runs
 * once for each first statement that makes some call of the product fail. Whatever it says, the
 * file is as before or as after; then the step succeeds, and replica_check passes. */
#ifndef FB_TESTS_STEPS_FIXTURE_H
#define FB_TESTS_STEPS_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "fault/torture/calls.h"
#include "sql/sql.h"
#include "support/lab.h"

enum { FILES_MAX = 4 };
#ifdef __SANITIZE_ADDRESS__
enum { EVERY = 14 }; /* of the sites, for every test run; ./run coverage takes them all */
#else
enum { EVERY = 1 };
#endif

/* --- the same files again ------------------------------------------------------------------- */

typedef struct kept {
    char *data[FILES_MAX];
    size_t size[FILES_MAX];
} kept;

static inline const char *name_of(const lab *l, int i)
{
    static const char *const ENDS[FILES_MAX] = {"", "-outbox1", "-outbox2", "-wal"};
    static char name[200];
    snprintf(name, sizeof name, "%s%s", l->path, ENDS[i]);
    return name;
}

static inline void files_keep(const lab *l, kept *k)
{
    for (int i = 0; i < FILES_MAX; i++) {
        FILE *f = fopen(name_of(l, i), "rb");
        k->data[i] = NULL;
        k->size[i] = 0;
        if (f != NULL) {
            fseek(f, 0, SEEK_END);
            k->size[i] = (size_t)ftell(f);
            rewind(f);
            k->data[i] = malloc(k->size[i] + 1);
            assert_non_null(k->data[i]);
            assert_int_equal(fread(k->data[i], 1, k->size[i], f), k->size[i]);
            fclose(f);
        }
    }
}

/* l is closed, and has no file. */
static inline void files_write(const lab *l, const kept *k)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (k->data[i] != NULL) {
            FILE *f = fopen(name_of(l, i), "wb");
            assert_non_null(f);
            assert_int_equal(fwrite(k->data[i], 1, k->size[i], f), k->size[i]);
            fclose(f);
        }
    }
}

static inline void files_put(lab *l, const kept *k)
{
    lab_stop(l);
    files_write(l, k);
    lab_reopen(l);
}

static inline void files_drop(kept *k)
{
    for (int i = 0; i < FILES_MAX; i++) {
        free(k->data[i]);
    }
}

/* As lab_count, where the statement may be the one that fails. */
static inline fb_code count_try(const lab *l, const char *text, int64_t *out)
{
    bool row = false;
    sql_stmt *s = sql_prepare(replica_sql(l->r), text);
    fb_code rc = sql_step(s, &row);
    if (rc == FB_OK && row) {
        *out = sql_int(s, 0);
        sql_reset(s);
    }
    return rc;
}

/* --- the loop ------------------------------------------------------------------------------- */

struct step {
    const char *why;
    void (*make)(lab *l);
    fb_code (*play)(lab *l, fb_error *err);
    const char *changes; /* SQL: 1 before, 0 after */
};

static inline void site_try(lab *l, const struct step *s, call_kind kind, uint64_t site)
{
    fb_error err = {.code = FB_OK};
    calls_arm(kind, site, false);
    fb_code rc = s->play(l, &err);
    if (!calls_disarm()) {
        fail_msg("%s: site %llu is not met again", s->why, (unsigned long long)site);
    }
    if (rc != FB_OK) {
        if (!code_is_machines(rc)) {
            fail_msg("%s, site %llu: %s %s", s->why, (unsigned long long)site, fb_code_name(rc),
                     err.message);
        }
        lab_reopen(l); /* as before or as after, and nothing in between */
        rc = lab_count(l, s->changes) == 1 ? s->play(l, &err) : FB_OK;
    }
    if (rc != FB_OK) {
        fail_msg("%s, after site %llu: %s %s", s->why, (unsigned long long)site, fb_code_name(rc),
                 err.message);
    }
    if (lab_count(l, s->changes) != 0) {
        fail_msg("%s, after site %llu: nothing was changed", s->why, (unsigned long long)site);
    }
    lab_check(l);
}

static inline void sites_of(lab *l, const struct step *s, call_kind kind, const kept *files)
{
    static uint64_t sites[SITES_MAX];
    size_t count = 0;
    fb_error err = {.code = FB_OK};
    files_put(l, files);
    assert_int_equal(lab_count(l, s->changes), 1);
    sites_begin((int)kind);
    calls_arm(kind, 0, false);
    fb_code rc = s->play(l, &err);
    (void)calls_disarm();
    memcpy(sites, sites_end(&count), sizeof sites);
    if (rc != FB_OK) {
        fail_msg("%s: %s %s %s", s->why, fb_code_name(rc), err.field, err.message);
    }
    assert_int_equal(lab_count(l, s->changes), 0);
    for (size_t k = 0; k < count; k += EVERY) {
        files_put(l, files);
        site_try(l, s, kind, sites[k]);
    }
}

static inline void steps_fail(const struct step *steps, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        lab l;
        kept files;
        lab_start(&l, path, 9);
        steps[i].make(&l);
        lab_close(&l);
        files_keep(&l, &files);
        for (int kind = 0; kind < CALL_KINDS; kind++) {
            sites_of(&l, &steps[i], (call_kind)kind, &files);
        }
        lab_stop(&l);
        files_drop(&files);
    }
}

#endif
