/* twin.c - two servers answer under one address: an old one that was left running, or a split name.
 * See sim.h, T9.
 *
 * The second is a copy of the first with an epoch of its own, as a restore onto another machine
 * makes it. A request reaches either by chance. What a device has sent to the second alone is on no
 * disk any more once that one is stopped: the device must still have it. IT stops the second and
 * tells the devices by a new epoch of the first. */
#include "sim/sim.h"

#include <string.h>

#define TWIN "twin"

enum { MINUTE_MS = 60000, SECOND_PERCENT = 30 };

/* In the middle of faults: what cannot be read is not known. */
static bool epoch_of(const char *path, const char *sql, fb_id *out)
{
    sqlite3_stmt *q = NULL;
    bool found = false;
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "simfs") == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW &&
        sqlite3_column_bytes(q, 0) == (int)sizeof out->b) {
        memcpy(out->b, sqlite3_column_blob(q, 0), sizeof out->b);
        found = true;
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
    return found;
}

bool epoch_is_of(const sim_device *d, const char *server_path)
{
    fb_id here, there;
    return epoch_of(d->path, "SELECT value FROM fb_meta WHERE key = 'epoch'", &here) &&
           epoch_of(server_path, "SELECT value FROM fs_meta WHERE key = 'epoch'", &there) &&
           id_equal(&here, &there);
}

void twin_close(sim *s)
{
    server_reader_close(s->twin_reader);
    server_close(s->twin);
    s->twin_reader = NULL;
    s->twin = NULL;
    crash_vfs_remove(s->vfs, TWIN);
}

bool twin_begin(sim *s, sim_device *d)
{
    (void)d;
    if (!server_sound(s) || s->twin != NULL) {
        return false;
    }
    crash_vfs_copy(s->vfs, "server", TWIN);
    epoch_new(s, TWIN "/master.db");
    if (server_start(s, TWIN "/master.db", &s->twin, &s->twin_reader) != FB_OK) {
        sim_violation(s, "T9: a copy of a sound server does not start");
        twin_close(s);
        return false;
    }
    s->twin_until_ms = s->now_ms + (20 + (int64_t)sim_random(s, 700)) * MINUTE_MS;
    return false; /* counted when a device refuses the one that it left */
}

void twin_tend(sim *s)
{
    if (s->twin == NULL || (s->now_ms < s->twin_until_ms && !s->healing) || !server_sound(s)) {
        return;
    }
    sim_trace(s, "the second server is stopped");
    twin_close(s);
    server_confirm(s);
}

bool twin_is_reached(const sim *s)
{
    return s->twin != NULL && mix64(s->seed, s->flights_count) % 100 < SECOND_PERCENT;
}

/* Whoever knew the first and has followed the second must take nothing of the first: its numbers
 * mean something else there. */
void twin_taken(sim_device *d, bool second, fb_code code)
{
    sim *s = d->world;
    s->fired[KIND_TWO_SERVERS] += s->twin != NULL && code == FB_E_EPOCH;
    if (code != FB_OK || d->follows == (second ? FOLLOWS_SECOND : FOLLOWS_FIRST)) {
        return;
    }
    if (!epoch_is_of(d, second ? TWIN "/master.db" : "server/master.db")) {
        return; /* it asks again, and has kept nothing of the answer */
    }
    if (!second && d->follows == FOLLOWS_SECOND) {
        sim_violation(s, "T9: %s takes an answer of the server that it left", d->machine);
    }
    if (!second) {
        d->follows = FOLLOWS_FIRST;
    } else if (d->follows == FOLLOWS_FIRST) {
        d->follows = FOLLOWS_SECOND;
    }
}
