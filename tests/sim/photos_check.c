/* photos_check.c - where each byte of a picture must be in the end: A1 to A3. See photos.h. */
#include "sim/photos.h"

#include <stdlib.h>
#include <string.h>

/* A2 */
static void file_check(void *ctx, const char *file, const void *data, size_t size)
{
    sim *s = ctx;
    digest hash, found;
    if (strncmp(file, "bak", 3) != 0 && name_of(file, &hash)) { /* of machines that live */
        for (int i = 0; i < s->damaged_count; i++) {
            if (strcmp(s->damaged[i], file) == 0) {
                return; /* its row may be out of sight: nobody has touched it since */
            }
        }
        digest_of(data, size, &found);
        if (memcmp(&hash, &found, sizeof hash) != 0) {
            sim_violation(s, "A2: %s does not hold what its name says", file);
        }
    } else if (strncmp(file, "dev", 3) == 0 && strstr(file, ".blobs/new-") != NULL) {
        sim_violation(s, "A3: %s was left lying", file);
    }
}

static const sim_action *action_of(const sim *s, const char *note)
{
    unsigned long mark = note != NULL && strncmp(note, "mark-", 5) == 0
                             ? strtoul(strrchr(note, '-') + 1, NULL, 10)
                             : 0;
    for (int i = 0; i < s->actions_count; i++) {
        if (s->actions[i].mark == mark && s->actions[i].bytes[ORIGINAL] != 0) {
            return &s->actions[i];
        }
    }
    return NULL;
}

/* A1 for one part of one row: its own bytes, on the server. */
static void part_check(sim *s, const sim_action *a, int part, const char *named)
{
    content c;
    digest hash;
    char name[BLOB_NAME_BYTES + 1] = "";
    if (a->bytes[part] != 0) {
        content_make(a->bytes[part], part, &c);
        digest_of(c.bytes, c.size, &hash);
        blob_name_put(&hash, name);
    }
    if (strcmp(name, named != NULL ? named : "") != 0) {
        sim_violation(s, "A1: the row of picture %u of dev%d names other bytes", a->mark,
                      a->device);
    } else if (a->bytes[part] != 0 && !a->bytes_doubt && !server_has(s, SERVER_FOLDER, &c)) {
        sim_violation(s, "A1: part %d of picture %u of dev%d is not on the server: %s", part,
                      a->mark, a->device, name);
    }
}

static void rows_check(sim *s, sqlite3 *master)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(master, "SELECT note, sha256, thumb_sha256 FROM attachment", -1, &q,
                           NULL) != SQLITE_OK) {
        sim_violation(s, "A1: the checker cannot read attachments: %s", sqlite3_errmsg(master));
    }
    while (q != NULL && sqlite3_step(q) == SQLITE_ROW) {
        const sim_action *a = action_of(s, (const char *)sqlite3_column_text(q, 0));
        for (int part = 0; a != NULL && part < PARTS; part++) {
            part_check(s, a, part, (const char *)sqlite3_column_text(q, 1 + part));
        }
    }
    sqlite3_finalize(q);
}

/* A3: in both directions. */
typedef struct agreement {
    sim_device *d;
    sqlite3 *replica;
    int64_t files;
    bool seen[SIM_DAMAGED_MAX]; /* which of those that were struck lie there again, or still */
} agreement;

static const char HERE[] = "SELECT count(*) FROM fb_blob WHERE state IN (1,2,3,4,6) AND hash = ?1";

/* But for those that the server has not got, and those lost here before they were sent. */
static const char THUMBS_AWAY[] =
    "SELECT count(*) FROM attachment a LEFT JOIN fb_blob b ON b.hash = a.thumb_sha256 WHERE "
    "a.thumb_sha256 IS NOT NULL AND (b.hash IS NULL OR (b.state NOT IN (1,2,3,4,6) AND b.error NOT "
    "IN ('absent', 'E_CORRUPT')))";
static void agreement_take(void *ctx, const char *file, const void *data, size_t size)
{
    agreement *g = ctx;
    digest hash;
    size_t n = strlen(g->d->path);
    (void)data;
    (void)size;
    if (strncmp(file, g->d->path, n) != 0 || !name_of(file, &hash)) {
        return;
    }
    g->files++;
    for (int i = 0; i < g->d->world->damaged_count; i++) {
        g->seen[i] = g->seen[i] || strcmp(g->d->world->damaged[i], file) == 0;
    }
    if (number(g->replica, HERE, strrchr(file, '/') + 1) != 1) {
        sim_violation(g->d->world, "A3: %s belongs to nothing", file);
    }
}

/* What a fault took away, and nobody has looked at since: its row counts it still (BLO-3). */
static int64_t gone_count(const agreement *g)
{
    const sim *s = g->d->world;
    int64_t n = 0;
    for (int i = 0; i < s->damaged_count; i++) {
        bool again = g->seen[i] || strncmp(s->damaged[i], g->d->path, strlen(g->d->path)) != 0;
        for (int k = 0; k < i && !again; k++) {
            again = strcmp(s->damaged[k], s->damaged[i]) == 0;
        }
        n += again ? 0 : number(g->replica, HERE, strrchr(s->damaged[i], '/') + 1);
    }
    return n;
}

static void device_check(sim *s, sim_device *d)
{
    agreement g = {.d = d, .replica = open_file(s, d->path)};
    if (g.replica == NULL) {
        return;
    }
    crash_vfs_each(s->vfs, agreement_take, &g);
    int64_t rows =
        number(g.replica, "SELECT count(*) FROM fb_blob WHERE state IN (1,2,3,4,6)", NULL);
    int64_t gone = gone_count(&g);
    if (d->torn_back ? rows < g.files + gone : rows != g.files + gone) {
        sim_violation(s, "A3: %s counts %lld pictures, has %lld, and %lld were taken away",
                      d->machine, (long long)rows, (long long)g.files, (long long)gone);
    }
    int64_t missing = number(g.replica, THUMBS_AWAY, NULL);
    if (missing != 0 && !d->number_shared) { /* clones drive each other out of what they download */
        sim_violation(s, "A3: %s lacks %lld small pictures", d->machine, (long long)missing);
    }
    sqlite3_close(g.replica);
}

void photos_check(sim *s, sqlite3 *master)
{
    if (!photos_have(s)) {
        return;
    }
    crash_vfs_each(s->vfs, file_check, s);
    rows_check(s, master);
    for (int i = 0; i < s->devices_count; i++) {
        device_check(s, &s->devices[i]);
    }
}
