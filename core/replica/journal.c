/* journal.c - see journal.h. */
#include "replica/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 64, HEAD_SUM_AT = 48, RECORD_HEAD_BYTES = 32, MARK_AT = 21, MAGIC_BYTES = 8 };
enum { SUFFIX_BYTES = 12 };
static const char MAGIC[MAGIC_BYTES + 1] = "FBoutbx1";

/* --- bytes --------------------------------------------------------------------------- */

static void put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(v >> (8 * i));
    }
}

static void put_u64(uint8_t *at, uint64_t v)
{
    put_u32(at, (uint32_t)v);
    put_u32(at + 4, (uint32_t)(v >> 32));
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

static void sum_of(const void *data, size_t size, uint8_t out[JOURNAL_SUM_BYTES])
{
    digest d;
    digest_of(data, size, &d);
    memcpy(out, d.b, JOURNAL_SUM_BYTES);
}

/* --- the pair of files --------------------------------------------------------------- */

fb_code journal_init(journal *j, const char *vfs, const char *path)
{
    *j = (journal){.segment = 2};
    buf_init(&j->bytes, JOURNAL_RECORD_BYTES_MAX);
    buf_init(&j->payload, JOURNAL_RECORD_BYTES_MAX);
    size_t size = strlen(path) + 1;
    size_t vfs_size = vfs != NULL ? strlen(vfs) + 1 : 0;
    j->path = malloc(size);
    j->vfs = vfs != NULL ? malloc(vfs_size) : NULL;
    if (j->path == NULL || (vfs != NULL && j->vfs == NULL)) {
        return FB_E_NO_MEMORY;
    }
    memcpy(j->path, path, size);
    if (vfs != NULL) {
        memcpy(j->vfs, vfs, vfs_size);
    }
    return FB_OK;
}

void journal_clear(journal *j)
{
    sql_file_close(j->file);
    sql_file_close(j->making);
    sql_file_close(j->before);
    free(j->path);
    free(j->vfs);
    buf_clear(&j->bytes);
    buf_clear(&j->payload);
    *j = (journal){.file = NULL};
}

static fb_code open_segment(const journal *j, int segment, bool create, sql_file **out)
{
    size_t room = strlen(j->path) + SUFFIX_BYTES;
    char *name = malloc(room);
    if (name == NULL) {
        return FB_E_NO_MEMORY;
    }
    snprintf(name, room, "%s-outbox%d", j->path, segment);
    fb_code rc = sql_file_open(j->vfs, name, create, out);
    free(name);
    return rc;
}

typedef struct segment_head {
    uint64_t generation; /* 0: it is none */
    int64_t life;
    uint8_t sum[JOURNAL_SUM_BYTES];
    bool newer;
} segment_head;

static fb_code read_head(sql_file *f, segment_head *out)
{
    uint8_t bytes[HEAD_BYTES];
    uint8_t sum[JOURNAL_SUM_BYTES];
    size_t got = 0;
    *out = (segment_head){.generation = 0};
    FB_TRY(sql_file_read(f, 0, bytes, sizeof bytes, &got));
    if (got < sizeof bytes || memcmp(bytes, MAGIC, MAGIC_BYTES - 1) != 0) {
        return FB_OK;
    }
    sum_of(bytes, HEAD_SUM_AT, sum);
    if (memcmp(sum, bytes + HEAD_SUM_AT, sizeof sum) != 0) {
        return FB_OK;
    }
    out->newer = bytes[MAGIC_BYTES - 1] > (uint8_t)MAGIC[MAGIC_BYTES - 1];
    out->generation = get_u64(bytes + 8);
    out->life = (int64_t)get_u64(bytes + 16);
    memcpy(out->sum, sum, sizeof sum);
    return FB_OK;
}

static fb_code write_head(sql_file *f, uint64_t generation, int64_t life)
{
    uint8_t bytes[HEAD_BYTES] = {0};
    memcpy(bytes, MAGIC, MAGIC_BYTES);
    put_u64(bytes + 8, generation);
    put_u64(bytes + 16, (uint64_t)life);
    sum_of(bytes, HEAD_SUM_AT, bytes + HEAD_SUM_AT);
    return sql_file_write(f, 0, bytes, sizeof bytes);
}

/* Where the records begin, and the sum the first one stands behind. The head is written last, so
 * its own sum cannot be the start: the generation is. */
static void start_sum(uint64_t generation, uint8_t out[JOURNAL_SUM_BYTES])
{
    uint8_t bytes[MAGIC_BYTES + 8];
    memcpy(bytes, MAGIC, MAGIC_BYTES);
    put_u64(bytes + MAGIC_BYTES, generation);
    sum_of(bytes, sizeof bytes, out);
}

void journal_rewind(journal *j)
{
    j->end = HEAD_BYTES;
    j->open = false;
    start_sum(j->generation, j->sum);
}

static void take_segment(journal *j, int segment, const segment_head *head, sql_file *take)
{
    sql_file_close(j->file);
    j->file = take;
    j->segment = segment;
    j->generation = head->generation;
    j->life = head->life;
    j->unsynced = true; /* who knows who wrote it */
    journal_rewind(j);
}

/* The newer of the two, unless it is the one that is being read. */
static fb_code take_newer(journal *j, sql_file *files[2], const segment_head heads[2])
{
    int best = heads[1].generation > heads[0].generation;
    if (heads[best].generation == 0) {
        return FB_E_NOT_FOUND;
    }
    if (heads[best].newer) {
        return FB_E_NEWER;
    }
    if (heads[best].generation == j->generation) { /* 0 while there is no file */
        j->unsynced = true;                        /* the same one: reading goes on at `end` */
        return FB_OK;
    }
    take_segment(j, best + 1, &heads[best], files[best]);
    files[best] = NULL;
    return FB_OK;
}

fb_code journal_open(journal *j)
{
    sql_file *files[2] = {NULL, NULL};
    segment_head heads[2] = {{.generation = 0}, {.generation = 0}};
    fb_code rc = FB_OK;
    for (int i = 0; i < 2 && rc == FB_OK; i++) {
        rc = open_segment(j, i + 1, false, &files[i]);
        if (rc == FB_OK) {
            rc = read_head(files[i], &heads[i]);
        }
        rc = rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    rc = rc == FB_OK ? take_newer(j, files, heads) : rc;
    sql_file_close(files[0]);
    sql_file_close(files[1]);
    return rc;
}

/* --- reading ------------------------------------------------------------------------- */

/* The record at `end`, whole and fitting, in j->bytes; *found false: there is none. */
static fb_code read_record(journal *j, bool *found)
{
    uint8_t head[RECORD_HEAD_BYTES];
    uint8_t sum[JOURNAL_SUM_BYTES];
    size_t got = 0;
    *found = false;
    FB_TRY(sql_file_read(j->file, j->end, head, sizeof head, &got));
    uint32_t size = got == sizeof head ? get_u32(head + JOURNAL_SUM_BYTES) : UINT32_MAX;
    if (size > JOURNAL_RECORD_BYTES_MAX - RECORD_HEAD_BYTES) {
        return FB_OK;
    }
    buf_reset(&j->bytes);
    char *at = buf_reserve(&j->bytes, size + RECORD_HEAD_BYTES);
    if (at == NULL) {
        return j->bytes.code;
    }
    memcpy(at, j->sum, JOURNAL_SUM_BYTES);
    memcpy(at + JOURNAL_SUM_BYTES, head + JOURNAL_SUM_BYTES, RECORD_HEAD_BYTES - JOURNAL_SUM_BYTES);
    at[MARK_AT] = 0;
    FB_TRY(sql_file_read(j->file, j->end + RECORD_HEAD_BYTES, at + RECORD_HEAD_BYTES, size, &got));
    sum_of(at, size + RECORD_HEAD_BYTES, sum);
    if (got != size || memcmp(sum, head, sizeof sum) != 0) {
        return FB_OK;
    }
    at[MARK_AT] = (char)head[MARK_AT];
    memcpy(j->sum, sum, sizeof sum);
    j->bytes.size = size + RECORD_HEAD_BYTES;
    *found = true;
    return FB_OK;
}

static journal_record record_of(const buf *bytes)
{
    const uint8_t *at = (const uint8_t *)bytes->data;
    return (journal_record){
        .type = (journal_type)at[20],
        .gseq = (int64_t)get_u64(at + 24),
        .confirmed = at[MARK_AT] == 1,
        .payload = {bytes->data + RECORD_HEAD_BYTES, bytes->size - RECORD_HEAD_BYTES}};
}

/* Is there a fitting record behind this one? Then its commit was seen by whoever wrote that. */
static fb_code has_next(journal *j, bool *out)
{
    buf kept = j->bytes;
    uint8_t sum[JOURNAL_SUM_BYTES];
    uint64_t at = j->end;
    memcpy(sum, j->sum, sizeof sum);
    buf_init(&j->bytes, JOURNAL_RECORD_BYTES_MAX);
    j->end += kept.size;
    fb_code rc = read_record(j, out);
    buf_clear(&j->bytes);
    j->bytes = kept;
    j->end = at;
    memcpy(j->sum, sum, sizeof sum);
    return rc;
}

static void step_over(journal *j, uint64_t size, const uint8_t sum[JOURNAL_SUM_BYTES])
{
    memcpy(j->sum, sum, JOURNAL_SUM_BYTES);
    j->end += size;
}

fb_code journal_follow(journal *j, fb_code (*fn)(void *ctx, const journal_record *record),
                       void *ctx)
{
    bool found = j->file != NULL;
    FB_REQUIRE(!j->open);
    while (found) {
        uint8_t before[JOURNAL_SUM_BYTES];
        uint8_t after[JOURNAL_SUM_BYTES];
        memcpy(before, j->sum, sizeof before);
        FB_TRY(read_record(j, &found));
        if (!found) {
            break;
        }
        journal_record r = record_of(&j->bytes);
        uint64_t size = j->bytes.size;
        fb_code rc = r.confirmed ? FB_OK : has_next(j, &r.confirmed);
        memcpy(after, j->sum, sizeof after);
        memcpy(j->sum, before, sizeof before);
        FB_TRY(rc);
        FB_TRY(fn != NULL ? fn(ctx, &r) : FB_OK);
        if (r.confirmed) {
            step_over(j, size, after);
        } else {
            j->open = true;
            j->open_size = size;
            memcpy(j->open_sum, after, sizeof after);
            found = false;
        }
    }
    return FB_OK;
}

/* --- writing ------------------------------------------------------------------------- */

fb_code journal_sync(journal *j)
{
    if (j->file == NULL || !j->unsynced) {
        return FB_OK;
    }
    FB_TRY(sql_file_sync(j->file));
    j->unsynced = false;
    return FB_OK;
}

static fb_code build_record(journal *j, journal_type type, int64_t gseq, fb_text payload)
{
    buf_reset(&j->bytes);
    char *raw = buf_reserve(&j->bytes, payload.size + RECORD_HEAD_BYTES);
    if (raw == NULL) {
        return j->bytes.code;
    }
    uint8_t *at = (uint8_t *)raw;
    memcpy(at, j->sum, JOURNAL_SUM_BYTES);
    memset(at + JOURNAL_SUM_BYTES, 0, RECORD_HEAD_BYTES - JOURNAL_SUM_BYTES);
    put_u32(at + JOURNAL_SUM_BYTES, (uint32_t)payload.size);
    at[20] = (uint8_t)type;
    put_u64(at + 24, (uint64_t)gseq);
    if (payload.size > 0) {
        memcpy(at + RECORD_HEAD_BYTES, payload.data, payload.size);
    }
    j->bytes.size = payload.size + RECORD_HEAD_BYTES;
    return FB_OK;
}

/* JRN-5. Whoever left what stands behind `end`: once it is gone for good, the mark of the record
 * that takes its place cannot become its own. */
static fb_code tail_remove(journal *j)
{
    uint64_t size = 0;
    FB_TRY(sql_file_size(j->file, &size));
    if (!j->tail_in_doubt && size <= j->end) {
        return FB_OK;
    }
    j->tail_in_doubt = true; /* until a sync says that it is gone */
    FB_TRY(sql_file_truncate(j->file, j->end));
    j->unsynced = true;
    FB_TRY(journal_sync(j));
    j->tail_in_doubt = false;
    return FB_OK;
}

fb_code journal_append(journal *j, journal_type type, int64_t gseq, fb_text payload, bool open)
{
    uint8_t sum[JOURNAL_SUM_BYTES];
    sql_file *f = j->making != NULL ? j->making : j->file;
    FB_REQUIRE(f != NULL && !j->open && (!open || j->making == NULL));
    FB_TRY(j->making == NULL ? tail_remove(j) : FB_OK);
    FB_TRY(build_record(j, type, gseq, payload));
    uint8_t *at = (uint8_t *)j->bytes.data;
    sum_of(at, j->bytes.size, sum);
    memcpy(at, sum, sizeof sum);
    at[MARK_AT] = !open;
    FB_TRY(sql_file_write(f, j->end, at, j->bytes.size));
    j->unsynced = true;
    if (!open) {
        step_over(j, j->bytes.size, sum);
        return FB_OK;
    }
    j->open = true;
    j->open_size = j->bytes.size;
    memcpy(j->open_sum, sum, sizeof sum);
    return FB_OK;
}

fb_code journal_confirm(journal *j)
{
    const uint8_t mark = 1;
    FB_REQUIRE(j->open);
    FB_TRY(sql_file_write(j->file, j->end + MARK_AT, &mark, 1));
    step_over(j, j->open_size, j->open_sum);
    j->open = false;
    j->unsynced = true;
    return FB_OK;
}

void journal_withdraw(journal *j)
{
    const uint8_t nothing[JOURNAL_SUM_BYTES] = {0};
    if (j->open) {
        /* Its mark is 0 already; a disk that refuses this too leaves it as the last record, which
         * then does not count either (JRN-1). */
        (void)!sql_file_write(j->file, j->end, nothing, sizeof nothing);
        j->open = false;
    }
}

void journal_leave_open(journal *j)
{
    j->open = false;
}

/* --- a new segment ------------------------------------------------------------------- */

fb_code journal_begin(journal *j, int64_t life)
{
    FB_REQUIRE(j->making == NULL && !j->open);
    FB_TRY(open_segment(j, 3 - j->segment, true, &j->making));
    fb_code rc = sql_file_truncate(j->making, 0);
    if (rc != FB_OK) {
        journal_give_up(j);
        return rc;
    }
    j->kept_end = j->end;
    memcpy(j->kept_sum, j->sum, sizeof j->sum);
    j->end = HEAD_BYTES;
    j->making_life = life;
    start_sum(j->generation + 1, j->sum);
    return FB_OK;
}

void journal_give_up(journal *j)
{
    if (j->making != NULL) {
        sql_file_close(j->making);
        j->making = NULL;
        j->end = j->kept_end;
        memcpy(j->sum, j->kept_sum, sizeof j->sum);
    }
}

/* Two syncs: the head must not be there before what it stands for. */
static fb_code make_current(journal *j)
{
    FB_TRY(sql_file_sync(j->making));
    FB_TRY(write_head(j->making, j->generation + 1, j->making_life));
    return sql_file_sync(j->making);
}

fb_code journal_end(journal *j)
{
    FB_REQUIRE(j->making != NULL);
    fb_code rc = make_current(j);
    if (rc != FB_OK) {
        journal_give_up(j);
        return rc;
    }
    sql_file_close(j->before);
    j->before = j->file;
    j->file = j->making;
    j->making = NULL;
    j->segment = 3 - j->segment;
    j->generation++;
    j->life = j->making_life;
    j->unsynced = false;
    return FB_OK;
}

void journal_forget_old(journal *j)
{
    if (j->before != NULL) {
        (void)!sql_file_truncate(j->before, 0); /* it is the older one in any case */
        sql_file_close(j->before);
        j->before = NULL;
    }
}
