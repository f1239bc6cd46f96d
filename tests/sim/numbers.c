/* numbers.c - document numbers: "VI-A1-000123", from a series that each device counts itself. See
 * sim.h, I9.
 *
 * A phone that is put back gives the next numbers of its series a second time, until the server has
 * told it so and it takes a new life far ahead. Two clones, and a phone that is put back twice or
 * to before another new life, share the numbers after that too. Everybody else never gives one
 * twice: the server has nothing to change. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void life_read(sim_device *d, char out[33])
{
    sqlite3_stmt *q = NULL;
    sqlite3 *db = NULL;
    out[0] = '\0';
    if (sqlite3_open_v2(d->path, &db, SQLITE_OPEN_READWRITE, "simfs") == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT hex(value) FROM fb_meta WHERE key = 'incarnation'", -1, &q,
                           NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW) {
        snprintf(out, 33, "%s", (const char *)sqlite3_column_text(q, 0));
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
}

void numbers_leave(sim_device *d)
{
    life_read(d, d->life);
}

void numbers_copied(sim_device *d, bool for_ever)
{
    char left[33];
    memcpy(left, d->life, sizeof left);
    life_read(d, d->life);
    d->number_waits = !for_ever && !d->number_shared && !d->number_twice && d->life[0] != '\0' &&
                      strcmp(left, d->life) == 0;
    d->number_shared = true;
}

void numbers_reborn(sim_device *d)
{
    char life[33];
    if (!d->number_waits) {
        return;
    }
    life_read(d, life);
    if (life[0] != '\0' && d->life[0] != '\0' && strcmp(life, d->life) != 0) {
        sim_trace(d->world, "%s has a new life", d->machine);
        d->number_shared = d->number_waits = false;
        d->number_twice = true;
    }
}

static bool is_shared(const sim *s, const char *note)
{
    unsigned long mark = strtoul(strrchr(note, '-') + 1, NULL, 10);
    for (int i = 0; i < s->actions_count; i++) {
        if (s->actions[i].mark == mark) {
            /* Or its save failed and left it in the second copy: it may have come in a phone that
             * was put back, while this one gave the number again. */
            return s->actions[i].number_shared || s->actions[i].doubt;
        }
    }
    return true;
}

void numbers_check(sim *s, sqlite3 *master)
{
    static const char CHANGED[] = "SELECT note, visit_no FROM visit WHERE note LIKE 'mark-%' AND "
                                  "visit_no LIKE 'VI-%-%-%'";
    sqlite3_stmt *q = NULL;
    int64_t twice =
        number(master,
               "SELECT (SELECT count(order_no) - count(DISTINCT order_no) FROM sales_order) + "
               "(SELECT count(visit_no) - count(DISTINCT visit_no) FROM visit)",
               NULL);
    if (twice != 0) {
        sim_violation(s, "I9: %lld document numbers are given twice", (long long)twice);
    }
    /* Who enrols with an empty server gets the series of somebody else, and keeps his own count. */
    if (s->emptied || sqlite3_prepare_v2(master, CHANGED, -1, &q, NULL) != SQLITE_OK) {
        return;
    }
    while (sqlite3_step(q) == SQLITE_ROW) {
        const char *note = (const char *)sqlite3_column_text(q, 0);
        if (!is_shared(s, note)) {
            sim_violation(s, "I9: %s became %s, and no other life of its device could give it",
                          note, (const char *)sqlite3_column_text(q, 1));
        }
    }
    sqlite3_finalize(q);
}
