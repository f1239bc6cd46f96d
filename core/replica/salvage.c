/* salvage.c - see salvage.h: from the old files to one segment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "replica/salvage.h"
#include "schema/limits.h"

enum { NAME_ROOM = 48 };

typedef struct work {
    const replica_options *o;
    journal old;  /* what there is */
    journal made; /* what becomes of it */
    bool has_old;
    second_seen seen;
    extras x;
    bool given_up;   /* what could not be read is damage */
    sql_file *alone; /* the database's file, locked */
    char *name;      /* scratch for file names */
    size_t name_room;
    digest chain; /* of the newest group in `made` */
    int64_t last;
} work;

static const char *beside(work *w, const char *suffix)
{
    snprintf(w->name, w->name_room, "%s%s", w->o->path, suffix);
    return w->name;
}

/* --- asked for while the file was in use --------------------------------------------- */

static char *name_of(const char *path, const char *suffix)
{
    size_t room = strlen(path) + NAME_ROOM;
    char *name = malloc(room);
    if (name != NULL) {
        snprintf(name, room, "%s%s", path, suffix);
    }
    return name;
}

void salvage_ask(const char *vfs, const char *path)
{
    sql_file *f = NULL;
    char *name = name_of(path, "-broken");
    /* When even this cannot be written the damage will be met again. */
    if (name != NULL && sql_file_open(vfs, name, true, &f) == FB_OK) {
        (void)!sql_file_write(f, 0, "1", 1);
        (void)!sql_file_sync(f);
        sql_file_close(f);
    }
    free(name);
}

bool salvage_is_asked(const char *vfs, const char *path)
{
    char *name = name_of(path, "-broken");
    bool asked = name != NULL && sql_file_exists(vfs, name);
    if (asked && !sql_file_exists(vfs, path)) { /* that file is gone: nothing is said of the next */
        (void)!sql_file_delete(vfs, name);
        asked = false;
    }
    free(name);
    return asked;
}

/* --- a disk that does not answer ----------------------------------------------------- */

/* A byte for each opening. Where not even that can be written nothing could be put in order. */
static fb_code count_opening(sql_file *f, uint64_t *count_out)
{
    FB_TRY(sql_file_size(f, count_out));
    FB_TRY(sql_file_write(f, *count_out, "?", 1));
    return sql_file_sync(f);
}

/* One more opening could not read the file. True: it is damage now (SLV-5). */
static bool is_given_up(const char *vfs, const char *path)
{
    sql_file *f = NULL;
    uint64_t before = 0;
    char *name = name_of(path, "-unread");
    if (name != NULL && sql_file_open(vfs, name, true, &f) == FB_OK) {
        before = count_opening(f, &before) == FB_OK ? before : 0;
        sql_file_close(f);
    }
    free(name);
    return before >= UNREAD_OPENINGS;
}

void salvage_count_unread(const char *vfs, const char *path)
{
    (void)is_given_up(vfs, path);
}

/* A place that is read at the next try is none that cannot be read. */
static bool reads_whole(sql_file *f)
{
    enum { PIECE_BYTES = 4096, TRIES = 3 };
    char piece[PIECE_BYTES];
    size_t got = sizeof piece;
    fb_code rc = FB_OK;
    for (uint64_t at = 0; rc == FB_OK && got == sizeof piece; at += got) {
        rc = FB_E_IO;
        for (int i = 0; rc == FB_E_IO && i < TRIES; i++) {
            rc = sql_file_read(f, at, piece, sizeof piece, &got);
        }
    }
    return rc != FB_E_IO;
}

typedef enum places { PLACES_UNKNOWN, PLACES_ALL_READ, PLACES_UNREAD } places;

static places places_look(const char *vfs, const char *path)
{
    sql_file *f = NULL;
    sql_file *log = NULL;
    if (!sql_file_exists(vfs, path) || sql_file_open_alone(vfs, path, &f) != FB_OK) {
        return PLACES_UNKNOWN; /* rights, a lock: nothing is known of what is in it */
    }
    char *name = name_of(path, "-wal");
    fb_code rc = name != NULL ? sql_file_open(vfs, name, false, &log) : FB_E_NO_MEMORY;
    bool known = rc == FB_OK || rc == FB_E_NOT_FOUND; /* what is in the log */
    bool whole = reads_whole(f) && (log == NULL || reads_whole(log));
    free(name);
    sql_file_close(log);
    sql_file_close(f);
    return !whole ? PLACES_UNREAD : known ? PLACES_ALL_READ : PLACES_UNKNOWN;
}

bool salvage_is_due(const char *vfs, const char *path)
{
    sql_file *f = NULL;
    uint64_t count = 0;
    char *name = name_of(path, "-unread");
    if (name != NULL && sql_file_exists(vfs, name) &&
        sql_file_open(vfs, name, false, &f) == FB_OK) {
        count = sql_file_size(f, &count) == FB_OK ? count : 0;
        sql_file_close(f);
    }
    places found = count >= UNREAD_OPENINGS ? places_look(vfs, path) : PLACES_UNKNOWN;
    if (found == PLACES_ALL_READ) { /* it passed */
        (void)!sql_file_delete(vfs, name);
    }
    free(name);
    return found == PLACES_UNREAD;
}

/* --- what there is ------------------------------------------------------------------- */

static fb_code look_at(void *ctx, const journal_record *record)
{
    work *w = ctx;
    stored_group g;
    FB_TRY(second_see(&w->seen, record));
    if (record->type != JOURNAL_GROUP && record->type != JOURNAL_ARCHIVED) {
        return FB_OK;
    }
    FB_TRY(stored_group_get(record->payload, &g));
    fb_code rc = record->confirmed ? extras_mark(&w->x, g.body) : FB_OK;
    return rc == FB_E_CORRUPT ? FB_OK : rc; /* its sum fits: it was so when it was written */
}

static fb_code look(work *w)
{
    fb_code rc = journal_open(&w->old);
    if (rc == FB_E_NOT_FOUND) {
        return FB_OK;
    }
    FB_TRY(rc);
    FB_TRY(journal_follow(&w->old, look_at, w));
    w->has_old = w->seen.identity;
    return FB_OK;
}

/* --- the new segment ----------------------------------------------------------------- */

static fb_code append(work *w, journal_type type, int64_t gseq, fb_text payload)
{
    return journal_append(&w->made, type, gseq, payload, false);
}

static fb_code copy_record(void *ctx, const journal_record *record)
{
    work *w = ctx;
    stored_group g;
    if (!record->confirmed || record->type == JOURNAL_SALVAGE) {
        return FB_OK; /* JRN-1 */
    }
    if (record->type == JOURNAL_GROUP) {
        FB_TRY(stored_group_get(record->payload, &g));
        w->last = record->gseq;
        w->chain = g.chain;
    }
    return append(w, record->type, record->gseq, record->payload);
}

/* Behind the groups of the second copy, in the database's order. Its numbers are new where the two
 * had gone different ways; a new incarnation renumbers all of them anyway. */
static fb_code append_group(work *w, const extra *e)
{
    stored_group g;
    digest chain;
    FB_TRY(stored_group_get(e->payload, &g));
    FB_TRY(body_unpack(&w->x.line, g.body, GROUP_BYTES_MAX));
    digest_chain(&w->chain, w->x.line.data, w->x.line.size, &chain);
    g.chain = chain;
    buf_reset(&w->x.packed);
    stored_group_put(&w->x.packed, &g);
    FB_TRY(w->x.packed.code);
    w->chain = chain;
    return append(w, JOURNAL_GROUP, ++w->last, buf_text(&w->x.packed));
}

static fb_code append_extras(work *w)
{
    for (const extra *e = w->x.first; e != NULL; e = e->next) {
        fb_code rc =
            e->type == JOURNAL_GROUP ? append_group(w, e) : append(w, e->type, e->gseq, e->payload);
        FB_TRY(rc);
        if (e->type == JOURNAL_IDENTITY) {
            const journal_record r = {.type = e->type, .confirmed = true, .payload = e->payload};
            FB_TRY(second_see(&w->seen, &r));
            w->last = w->seen.last;
            w->chain = w->seen.chain_last;
        }
    }
    return FB_OK;
}

static fb_code write_segment(work *w)
{
    uint8_t nonce[16];
    fb_code found = journal_open(&w->made); /* its generation */
    FB_TRY(found == FB_E_NOT_FOUND ? FB_OK : found);
    FB_TRY(w->o->port->random(w->o->port->ctx, nonce, sizeof nonce));
    FB_TRY(journal_begin(&w->made, w->old.life));
    w->last = w->seen.pruned;
    if (w->has_old) {
        journal_rewind(&w->old);
        FB_TRY(journal_follow(&w->old, copy_record, w));
    }
    FB_TRY(append_extras(w));
    FB_TRY(append(w, JOURNAL_SALVAGE, 0, (fb_text){(const char *)nonce, sizeof nonce}));
    FB_TRY(journal_end(&w->made));
    journal_forget_old(&w->made);
    return FB_OK;
}

/* --- evidence ------------------------------------------------------------------------ */

/* What can be read of it. One that does not fit on the disk is given up. */
static fb_code keep_copy(work *w, sql_file *from, const char *suffix)
{
    bool unread = false;
    fb_code rc = sql_file_copy(from, w->o->vfs, beside(w, suffix), &unread);
    if (rc == FB_OK && unread && !w->given_up) {
        w->given_up = is_given_up(w->o->vfs, w->o->path);
        rc = w->given_up ? FB_OK : FB_E_IO;
    }
    if (rc != FB_OK) {
        (void)!sql_file_delete(w->o->vfs, beside(w, suffix));
    }
    return rc == FB_E_DISK_FULL ? FB_OK : rc;
}

/* SLV-4: the places take turns with the generations of the second copy, so that a salvage that was
 * cut short and begins again uses the same one. */
static fb_code keep_evidence(work *w)
{
    char suffix[NAME_ROOM];
    sql_file *log = NULL;
    int place = (int)(w->old.generation % EVIDENCE_KEPT) + 1;
    bool foreign = w->has_old && w->x.identity && !id_equal(&w->x.file_id, &w->seen.file_id);
    const char *kind = foreign ? "foreign" : "damaged";
    snprintf(suffix, sizeof suffix, "-%s%d", kind, place);
    FB_TRY(keep_copy(w, w->alone, suffix));
    fb_code rc = sql_file_open(w->o->vfs, beside(w, "-wal"), false, &log);
    if (rc == FB_OK) {
        snprintf(suffix, sizeof suffix, "-%s%d-wal", kind, place);
        rc = keep_copy(w, log, suffix);
        sql_file_close(log);
    }
    return rc == FB_E_NOT_FOUND || w->given_up ? FB_OK : rc;
}

static bool forget_file(const replica *r, const char *suffix)
{
    const journal *j = &r->second.j;
    char *name = name_of(j->path, suffix);
    bool gone =
        name != NULL && (!sql_file_exists(j->vfs, name) || sql_file_delete(j->vfs, name) == FB_OK);
    free(name);
    return gone;
}

bool salvage_forget(replica *r)
{
    char suffix[NAME_ROOM];
    int64_t saved_before = 0;
    bool gone = true;
    if (!r->second.on || meta_get_int(r, "evidence", &saved_before) != FB_OK ||
        r->state.pruned < saved_before) {
        return true; /* an erasure asks again when more is pruned */
    }
    for (int place = 1; place <= EVIDENCE_KEPT; place++) {
        snprintf(suffix, sizeof suffix, "-damaged%d", place);
        gone &= forget_file(r, suffix);
        snprintf(suffix, sizeof suffix, "-damaged%d-wal", place);
        gone &= forget_file(r, suffix);
    }
    return gone;
}

static fb_code delete_old(work *w)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal", "", "-broken", "-unread"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        FB_TRY(sql_file_delete(w->o->vfs, beside(w, suffixes[i])));
    }
    return FB_OK;
}

/* --- the whole ----------------------------------------------------------------------- */

static fb_code gather(work *w, fb_code why, fb_error *err)
{
    fb_code rc = look(w);
    if (rc != FB_OK) {
        return fail(err, rc, "path", "the second copy beside the database cannot be read");
    }
    if (w->has_old && w->seen.salvage) {
        return FB_OK;
    }
    if (why == FB_E_NOT_FOUND && !w->has_old) {
        return why;
    }
    rc = extras_read(w->o, &w->seen, &w->x);
    if (rc == FB_OK && w->x.trouble != FB_OK) {
        w->given_up = w->x.trouble == FB_E_IO && is_given_up(w->o->vfs, w->o->path);
        if (!w->given_up) {
            return fail(err, w->x.trouble, "path",
                        "the database is damaged, and what is left of it cannot be read now: check "
                        "the disk and open it again; nothing was changed");
        }
    }
    if (rc == FB_OK && !w->has_old && !w->x.identity) {
        return fail(
            err, why, "path",
            "the database is damaged and has no second copy: keep the file, enrol a new one, "
            "and export what is left of its outbox");
    }
    return rc;
}

/* Alone with the files: the segment, then the end of the old ones. */
static fb_code replace(work *w, fb_code why, fb_error *err)
{
    fb_code rc = sql_file_open_alone(w->o->vfs, w->o->path, &w->alone);
    if (rc == FB_E_BUSY) {
        return fail(err, FB_E_LOCKED, "path",
                    "the file is damaged and another process has it open: end that one first");
    }
    FB_TRY(rc);
    if (!w->seen.salvage) {
        if (why != FB_E_NOT_FOUND) {
            rc = keep_evidence(w);
        }
        if (rc == FB_OK) {
            rc = write_segment(w);
        }
    }
    if (rc == FB_OK) {
        rc = delete_old(w);
    }
    sql_file_close(w->alone);
    w->alone = NULL;
    return rc;
}

static fb_code run(work *w, fb_code why, replica **out, fb_error *err)
{
    FB_TRY(gather(w, why, err));
    fb_code rc = replace(w, why, err);
    if (rc != FB_OK) {
        return rc == FB_E_LOCKED ? rc
                                 : fail(err, rc, "path",
                                        "the database is damaged and could not be put in order: "
                                        "free some space and open it again; nothing was lost");
    }
    FB_TRY(journal_open(&w->made));
    journal_rewind(&w->made);
    return salvage_build(w->o, &w->made, out, err);
}

static fb_code work_init(work *w, const replica_options *o)
{
    *w = (work){.o = o, .name_room = strlen(o->path) + NAME_ROOM};
    w->name = malloc(w->name_room);
    fb_code rc = extras_init(&w->x);
    if (rc == FB_OK) {
        rc = journal_init(&w->old, o->vfs, o->path);
    }
    if (rc == FB_OK) {
        rc = journal_init(&w->made, o->vfs, o->path);
    }
    return rc == FB_OK && w->name == NULL ? FB_E_NO_MEMORY : rc;
}

fb_code salvage(const replica_options *o, fb_code why, replica **out, fb_error *err)
{
    work w;
    fb_error kept = {.code = FB_OK};
    fb_code rc = work_init(&w, o);
    if (rc == FB_OK) {
        rc = run(&w, why, out, &kept);
    }
    if (rc == FB_OK && err != NULL) {
        err->code = FB_OK;
    } else if (rc != FB_OK && kept.code == rc && err != NULL) {
        *err = kept;
    } else if (rc != FB_OK && rc != why) {
        (void)fail(err, rc, "path", "the database is damaged and could not be put in order");
    }
    journal_clear(&w.old);
    journal_clear(&w.made);
    extras_clear(&w.x);
    free(w.name);
    return rc;
}
