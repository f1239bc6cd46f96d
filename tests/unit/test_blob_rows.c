/* test_blob_rows.c - bytes of attachments at rest: what is refused, what becomes of damaged and
 * stray files, and what a person's wish changes. The lane's answers: test_lane_answers.c. */
#include "replica/blob.h"
#include "sql/sql.h"
#include "support/lab.h"
#include "support/mem_files.h"

#define DB lab_path("blob_rows")
#define PHOTO "a photo of a shelf"
enum { NOW_MS = 5000, LATE_MS = 7 * 3600 * 1000 }; /* LATE: the server is asked again */

typedef struct world {
    lab l;
    mem_files *files;
    fb_files port; /* of `files`, with what a test changes */
    digest hash;
    char folder[160], file[240]; /* file: of the photo */
} world;

static void world_make(world *w)
{
    fb_error err = {.code = FB_OK};
    char name[BLOB_NAME_BYTES + 1];
    w->files = mem_files_new(7);
    lab_start(&w->l, DB, 8);
    w->port = *mem_files_port(w->files);
    w->l.files = &w->port;
    lab_reopen(&w->l);
    lab_begin(&w->l, "lab.save");
    lab_insert(&w->l, 1, "one", 1);
    assert_int_equal(blob_add_bytes(w->l.r, T(PHOTO), false, &w->hash, &err), FB_OK);
    lab_commit(&w->l);
    blob_name_put(&w->hash, name);
    snprintf(w->folder, sizeof w->folder, "%s.blobs", DB);
    snprintf(w->file, sizeof w->file, "%s/%s", w->folder, name);
}

static void world_end(world *w)
{
    lab_check(&w->l);
    lab_stop(&w->l);
    mem_files_free(w->files);
}

static void sql(world *w, const char *text)
{
    if (sql_exec(replica_sql(w->l.r), text) != FB_OK) {
        fail_msg("%s: %s", text, sql_message(replica_sql(w->l.r)));
    }
}

static blob_info info(world *w, const digest *hash)
{
    blob_info b;
    assert_int_equal(blob_find(w->l.r, hash, &b), FB_OK);
    return b;
}

static bool is_there(world *w, const char *path)
{
    int64_t size = 0;
    return w->l.files->size(w->l.files->ctx, path, &size) == FB_OK;
}

static fb_code nothing(void *ctx, fb_text piece)
{
    (void)ctx;
    (void)piece;
    return FB_OK;
}

/* --- refused -------------------------------------------------------------------------------- */

static void without_files__every_call_says_what_is_missing(void **state)
{
    world w;
    fb_error err = {.code = FB_OK};
    blob_work work;
    blob_rules rules = {true, true};
    digest hash;
    int64_t size = 0;
    (void)state;
    world_make(&w);
    const fb_files *port = w.l.files;
    w.l.files = NULL;
    lab_reopen(&w.l);
    lab_begin(&w.l, "lab.save");
    lab_insert(&w.l, 2, "two", 1);
    assert_int_equal(blob_add_bytes(w.l.r, T("x"), false, &hash, &err), FB_E_CONFIG);
    assert_string_equal(err.field, "files");
    assert_int_equal(blob_add_file(w.l.r, "photo.jpg", &hash, &size, &err), FB_E_CONFIG);
    lab_commit(&w.l);
    assert_int_equal(blob_lend(w.l.r, &w.hash, nothing, NULL), FB_E_CONFIG);
    assert_int_equal(blob_want(w.l.r, &w.hash, 5, false, true), FB_E_CONFIG);
    assert_int_equal(blob_evict(w.l.r, 0, &size), FB_E_CONFIG);
    assert_int_equal(blob_round_begin(w.l.r, NOW_MS), FB_E_CONFIG);
    assert_int_equal(blob_next(w.l.r, &rules, NOW_MS, &work), FB_E_CONFIG);
    assert_int_equal(lab_count(&w.l, "SELECT count(*) FROM fb_blob WHERE state=1"), 1);
    w.l.files = port;
    world_end(&w);
}

static fb_code no_folder(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
    return FB_E_DISK_FULL;
}

static void add__what_has_no_right_size_or_place_is_refused(void **state)
{
    static char large[BLOB_THUMB_BYTES_MAX + 1];
    world w;
    fb_error err = {.code = FB_OK};
    digest hash;
    int64_t size = 0;
    (void)state;
    world_make(&w);
    assert_int_equal(blob_add_bytes(w.l.r, T("x"), false, &hash, &err), FB_E_MISUSE);
    mem_files_put(w.files, "camera/empty.jpg", "", 0);
    lab_begin(&w.l, "lab.save");
    lab_insert(&w.l, 2, "two", 1);
    assert_int_equal(blob_add_bytes(w.l.r, T(""), false, &hash, &err), FB_E_LENGTH);
    assert_int_equal(blob_add_bytes(w.l.r, (fb_text){large, sizeof large}, true, &hash, &err),
                     FB_E_LENGTH);
    assert_string_equal(err.field, "attachment");
    assert_int_equal(blob_add_file(w.l.r, "camera/none.jpg", &hash, &size, &err), FB_E_NOT_FOUND);
    assert_string_equal(err.field, "file");
    assert_int_equal(blob_add_file(w.l.r, "camera/empty.jpg", &hash, &size, &err), FB_E_LENGTH);
    w.port.folder = no_folder;
    assert_int_equal(blob_add_bytes(w.l.r, T("x"), false, &hash, &err), FB_E_DISK_FULL);
    assert_string_equal(err.field, "files");
    lab_commit(&w.l);
    assert_int_equal(lab_count(&w.l, "SELECT count(*) FROM fb_blob"), 1);
    world_end(&w);
}

/* --- damaged -------------------------------------------------------------------------------- */

static void lend__damage_is_noted_where_something_may_be_written(void **state)
{
    world w;
    fb_error err = {.code = FB_OK};
    replica *reader = NULL;
    (void)state;
    world_make(&w);
    assert_true(mem_files_flip(w.files, w.file, 2));
    const replica_options o = {
        .path = DB, .port = &w.l.port, .files = w.l.files, .read_only = true};
    assert_int_equal(replica_open(&o, &reader, &err), FB_OK);
    assert_int_equal(blob_lend(reader, &w.hash, nothing, NULL), FB_E_CORRUPT);
    replica_close(reader);
    assert_int_equal(info(&w, &w.hash).stage, BLOB_ASK);
    lab_begin(&w.l, "lab.save"); /* in the group's own transaction */
    lab_insert(&w.l, 2, "two", 1);
    assert_int_equal(blob_lend(w.l.r, &w.hash, nothing, NULL), FB_E_CORRUPT);
    assert_int_equal(info(&w, &w.hash).stage, BLOB_WANTED); /* the server may have it */
    capture_abort(w.l.r);
    assert_int_equal(info(&w, &w.hash).stage, BLOB_ASK);
    assert_int_equal(blob_lend(w.l.r, &w.hash, nothing, NULL), FB_E_CORRUPT); /* the file is gone */
    assert_int_equal(info(&w, &w.hash).stage, BLOB_WANTED);
    assert_int_equal(info(&w, &w.hash).error, FB_E_CORRUPT);
    world_end(&w);
}

/* Nothing is sent, fetched or removed for a row whose name is no hash. */
static void rows__a_name_that_is_no_hash_is_damage(void **state)
{
    static const char *const STAGES[] = {"1", "2", "5", "6"};
    (void)state;
    for (size_t i = 0; i < sizeof STAGES / sizeof STAGES[0]; i++) {
        world w;
        char text[200];
        blob_work work;
        int64_t freed = 0;
        world_make(&w);
        snprintf(text, sizeof text, "UPDATE fb_blob SET hash='../../etc/passwd', state=%s",
                 STAGES[i]);
        sql(&w, text);
        fb_code rc = STAGES[i][0] == '6'
                         ? blob_evict(w.l.r, 0, &freed)
                         : blob_next(w.l.r, &(blob_rules){true, true}, NOW_MS, &work);
        assert_int_equal(rc, FB_E_CORRUPT);
        assert_int_equal(freed, 0);
        assert_true(is_there(&w, w.file));
        world_end(&w);
    }
}

static void piece__of_a_file_that_is_shorter_or_gone_is_lost_and_said_so(void **state)
{
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        world w;
        buf piece;
        buf_init(&piece, 1 << 20);
        world_make(&w);
        sql(&w, "UPDATE fb_blob SET state=2");
        blob_info b = info(&w, &w.hash);
        if (gone != 0) {
            assert_int_equal(w.l.files->remove(w.l.files->ctx, w.file), FB_OK);
        } else {
            mem_files_put(w.files, w.file, PHOTO, 4);
        }
        assert_int_equal(blob_piece(w.l.r, &b, 100, &piece), FB_E_CORRUPT);
        assert_int_equal(info(&w, &w.hash).stage, BLOB_GONE); /* only this phone had it */
        assert_int_equal(info(&w, &w.hash).error, FB_E_CORRUPT);
        assert_int_equal(piece.size, 0);
        buf_clear(&piece);
        world_end(&w);
    }
}

/* A disk, or another program, in the middle of what a person does. */
typedef enum read_trouble { READ_FAILS, READ_SHRINKS, READ_NEVER_ENDS } read_trouble;
static struct {
    read_trouble kind;
    int left; /* reads that are as they should be */
    const fb_files *real;
} trouble;

static fb_code troubled_read(void *ctx, const char *path, int64_t at, void *out, size_t size,
                             size_t *got)
{
    if (trouble.kind == READ_NEVER_ENDS) {
        memset(out, 'x', size);
        *got = size;
        return FB_OK;
    }
    if (trouble.left-- > 0) {
        return trouble.real->read(ctx, path, at, out, size, got);
    }
    *got = 0;
    return trouble.kind == READ_FAILS ? FB_E_IO : FB_OK;
}

static fb_code write_nothing(void *ctx, const char *path, int64_t at, fb_text bytes, bool sync)
{
    (void)ctx;
    (void)path;
    (void)at;
    (void)bytes;
    (void)sync;
    return FB_OK;
}

static void trouble_begin(world *w, read_trouble kind, int left)
{
    trouble.kind = kind;
    trouble.left = left;
    trouble.real = mem_files_port(w->files);
    w->port.read = troubled_read;
}

static void trouble_end(world *w)
{
    w->port = *mem_files_port(w->files);
}

static void read__that_fails_changes_nothing(void **state)
{
    world w;
    fb_error err = {.code = FB_OK};
    digest hash;
    int64_t size = 0;
    (void)state;
    world_make(&w);
    mem_files_put(w.files, "camera/shelf.jpg", PHOTO "!", sizeof PHOTO);
    lab_begin(&w.l, "lab.save");
    lab_insert(&w.l, 2, "two", 1);
    trouble_begin(&w, READ_FAILS, 0);
    assert_int_equal(blob_add_file(w.l.r, "camera/shelf.jpg", &hash, &size, &err), FB_E_IO);
    trouble_begin(&w, READ_NEVER_ENDS, 0); /* larger than any attachment */
    w.port.write = write_nothing;
    assert_int_equal(blob_add_file(w.l.r, "camera/shelf.jpg", &hash, &size, &err), FB_E_LENGTH);
    trouble_end(&w);
    assert_int_equal(blob_add_file(w.l.r, "camera/shelf.jpg", &hash, &size, &err), FB_OK);
    assert_int_equal(size, sizeof PHOTO);
    lab_commit(&w.l);
    trouble_begin(&w, READ_FAILS, 1); /* checked, and then not to be read */
    assert_int_equal(blob_lend(w.l.r, &w.hash, nothing, NULL), FB_E_IO);
    trouble_begin(&w, READ_SHRINKS, 1);
    assert_int_equal(blob_lend(w.l.r, &w.hash, nothing, NULL), FB_E_CORRUPT);
    trouble_end(&w);
    assert_int_equal(blob_lend(w.l.r, &w.hash, nothing, NULL), FB_OK);
    sql(&w, "UPDATE fb_blob SET state=2");
    blob_info b = info(&w, &w.hash);
    trouble_begin(&w, READ_FAILS, 0); /* the server calls them wrong, and nobody can look */
    assert_int_equal(blob_failed(w.l.r, &b, FB_E_INVALID, NOW_MS), FB_E_IO);
    trouble_end(&w);
    assert_int_equal(info(&w, &w.hash).stage, BLOB_SEND);
    w.port.folder = no_folder;
    sql(&w, "UPDATE fb_blob SET state=5, direction=2");
    b = info(&w, &w.hash);
    const blob_got got = {.size = b.size, .bytes = T("a ph")};
    assert_int_equal(blob_got_take(w.l.r, &b, &got, NOW_MS), FB_E_DISK_FULL);
    trouble_end(&w);
    assert_int_equal(info(&w, &w.hash).offset, 0);
    world_end(&w);
}

/* What the server sent is asked for again; and bytes that are lost come back when they are made
 * once more. */
static void damaged__what_was_fetched_is_fetched_again(void **state)
{
    world w;
    fb_error err = {.code = FB_OK};
    digest hash;
    (void)state;
    world_make(&w);
    sql(&w, "UPDATE fb_blob SET state=6, direction=2");
    assert_true(mem_files_flip(w.files, w.file, 2));
    assert_int_equal(blob_lend(w.l.r, &w.hash, nothing, NULL), FB_E_CORRUPT);
    assert_int_equal(info(&w, &w.hash).stage, BLOB_WANTED);
    sql(&w, "UPDATE fb_blob SET state=7, direction=1");
    lab_begin(&w.l, "lab.save");
    lab_insert(&w.l, 2, "two", 1);
    assert_int_equal(blob_add_bytes(w.l.r, T(PHOTO), false, &hash, &err), FB_OK);
    lab_commit(&w.l);
    assert_int_equal(info(&w, &w.hash).stage, BLOB_ASK);
    assert_int_equal(blob_lend(w.l.r, &w.hash, nothing, NULL), FB_OK);
    world_end(&w);
}

/* --- strays --------------------------------------------------------------------------------- */

typedef struct stray {
    const char *why, *before; /* SQL on the photo's row */
    const char *ending;       /* of the file's name; NULL: the name is no hash at all */
    const char *bytes;        /* NULL: what the camera made */
    bool stays;
    blob_stage stage; /* of the row */
} stray;

/* clang-format off */
static const stray STRAYS[] = {
    {"in use", "SELECT 1", "", NULL, true, BLOB_ASK},
    {"of no row", "DELETE FROM fb_blob", "", NULL, false, BLOB_NONE},
    {"named by somebody else", "SELECT 1", NULL, NULL, false, BLOB_ASK},
    {"a part that goes on", "UPDATE fb_blob SET state=5, direction=2", ".part", "a ph", true, BLOB_WANTED},
    {"a part of what is whole", "SELECT 1", ".part", "a ph", false, BLOB_ASK},
    {"another ending", "UPDATE fb_blob SET state=5, direction=2", ".tart", "a ph", false, BLOB_WANTED},
    {"fetched whole, its row is not", "UPDATE fb_blob SET state=5, direction=2", "", NULL, true, BLOB_HERE},
    {"its own, whole again", "UPDATE fb_blob SET state=5", "", NULL, true, BLOB_ASK},
    {"wanted, and damaged", "UPDATE fb_blob SET state=5, direction=2", "", "a photo of a SHELF", false, BLOB_WANTED},
    {"let go", "UPDATE fb_blob SET state=7", "", NULL, false, BLOB_GONE},
    {"after a salvage", "DELETE FROM fb_blob; INSERT OR REPLACE INTO fb_meta VALUES ('blobs_adopt', 1)", "", NULL, true, BLOB_ASK},
    {"after a salvage, damaged", "DELETE FROM fb_blob; INSERT OR REPLACE INTO fb_meta VALUES ('blobs_adopt', 1)", "", "a photo", false, BLOB_NONE},
    {"after a salvage, no hash", "DELETE FROM fb_blob; INSERT OR REPLACE INTO fb_meta VALUES ('blobs_adopt', 1)", NULL, NULL, false, BLOB_ASK},
};
/* clang-format on */

static void round__every_file_has_a_row_or_goes(void **state)
{
    world w;
    (void)state;
    world_make(&w);
    sql(&w, "CREATE TABLE kept AS SELECT * FROM fb_blob");
    for (size_t i = 0; i < sizeof STRAYS / sizeof STRAYS[0]; i++) {
        const stray *c = &STRAYS[i];
        char path[300];
        sql(&w, "DELETE FROM fb_blob; INSERT INTO fb_blob SELECT * FROM kept");
        mem_files_put(w.files, w.file, PHOTO, sizeof PHOTO - 1);
        sql(&w, c->before);
        lab_reopen(&w.l); /* the first round of a handle looks at every file */
        snprintf(path, sizeof path, "%s%s", c->ending != NULL ? w.file : w.folder,
                 c->ending != NULL ? c->ending : "/new-0011");
        if (c->ending != NULL && c->ending[0] != '\0') {
            assert_int_equal(w.port.remove(w.port.ctx, w.file), FB_OK);
        }
        const char *bytes = c->bytes != NULL ? c->bytes : PHOTO;
        mem_files_put(w.files, path, bytes, strlen(bytes));
        assert_int_equal(blob_round_begin(w.l.r, NOW_MS), FB_OK);
        if (is_there(&w, path) != c->stays || info(&w, &w.hash).stage != c->stage) {
            fail_msg("%s: there %d, stage %d", c->why, is_there(&w, path), info(&w, &w.hash).stage);
        }
        assert_int_equal(lab_count(&w.l, "SELECT count(*) FROM fb_meta WHERE key='blobs_adopt' AND "
                                         "value<>0"),
                         0);
    }
    world_end(&w);
}

static fb_code no_read(void *ctx, const char *path, int64_t at, void *out, size_t size, size_t *got)
{
    (void)ctx;
    (void)path;
    (void)at;
    (void)out;
    (void)size;
    *got = 0;
    return FB_E_IO;
}

static void round__a_file_that_cannot_be_read_now_stays(void **state)
{
    static const char *const BEFORE[] = {
        "UPDATE fb_blob SET state=5, direction=2",
        "DELETE FROM fb_blob; INSERT OR REPLACE INTO fb_meta VALUES ('blobs_adopt', 1)"};
    (void)state;
    for (size_t i = 0; i < sizeof BEFORE / sizeof BEFORE[0]; i++) {
        world w;
        world_make(&w);
        sql(&w, BEFORE[i]);
        w.port.read = no_read;
        assert_int_equal(blob_round_begin(w.l.r, NOW_MS), FB_E_IO);
        w.port.read = mem_files_port(w.files)->read;
        assert_true(is_there(&w, w.file));
        assert_int_equal(blob_round_begin(w.l.r, NOW_MS), FB_OK); /* the round is made up for */
        assert_true(is_there(&w, w.file) &&
                    blob_is_here(&(blob_info){.stage = info(&w, &w.hash).stage}));
        world_end(&w);
    }
}

static fb_code long_name(void *ctx, const char *folder, fb_code (*fn)(void *, const char *),
                         void *fn_ctx)
{
    char name[400];
    (void)ctx;
    (void)folder;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    return fn(fn_ctx, name);
}

/* A name that no file system gives; a clock that was put back; a base that is gone: with it nobody
 * can say that a row is missing for good. */
static void round__odd_names_and_times(void **state)
{
    world w;
    buf out;
    fb_error err = {.code = FB_OK};
    (void)state;
    world_make(&w);
    w.port.each = long_name;
    assert_int_equal(blob_round_begin(w.l.r, NOW_MS), FB_E_LIMIT);
    trouble_end(&w);
    assert_int_equal(blob_round_begin(w.l.r, LATE_MS), FB_OK);
    sql(&w, "UPDATE fb_blob SET state=3, epoch=(SELECT value FROM fb_meta WHERE key='epoch')");
    assert_int_equal(blob_round_begin(w.l.r, LATE_MS + 1), FB_OK);
    assert_int_equal(info(&w, &w.hash).stage, BLOB_SENT);
    assert_int_equal(blob_round_begin(w.l.r, LATE_MS - 1), FB_OK); /* asked again */
    assert_int_equal(info(&w, &w.hash).stage, BLOB_ASK);
    sql(&w, "UPDATE fb_blob SET state=6, direction=2");
    reply_begin(&w.l, &out, 1, 1, 6);
    verdict_run_put(&out, 1, 1, 5);
    reply_page(&out, "0.6", true, false);
    reply_take(&w.l, &out);
    assert_int_equal(replica_rebirth(w.l.r, &err), FB_OK);
    assert_int_equal(blob_round_begin(w.l.r, NOW_MS), FB_OK);
    assert_int_equal(info(&w, &w.hash).stage, BLOB_HERE);
    world_end(&w);
}

static void next__asks_no_more_than_a_request_holds(void **state)
{
    world w;
    blob_work work;
    (void)state;
    world_make(&w);
    for (int i = 0; i <= BLOB_ASK_MAX; i++) {
        char text[220];
        snprintf(text, sizeof text,
                 "INSERT INTO fb_blob (hash, size, thumb, direction, state, at_ms, metered) VALUES "
                 "('%064x', 5, 0, 1, 1, 1, 1)",
                 i);
        sql(&w, text);
    }
    assert_int_equal(blob_next(w.l.r, &(blob_rules){true, true}, NOW_MS, &work), FB_OK);
    assert_int_equal(work.todo, BLOB_TODO_ASK);
    assert_int_equal(work.count, BLOB_ASK_MAX);
    world_end(&w);
}

/* --- wishes --------------------------------------------------------------------------------- */

static void want__what_is_here_or_going_up_is_not_disturbed(void **state)
{
    world w;
    (void)state;
    world_make(&w);
    assert_int_equal(blob_want(w.l.r, &w.hash, sizeof PHOTO - 1, false, true), FB_OK);
    blob_info b = info(&w, &w.hash);
    assert_true(b.stage == BLOB_ASK && b.made_here && !b.metered);
    sql(&w, "UPDATE fb_blob SET state=7, tries=3, next_ms=9");
    assert_int_equal(blob_want(w.l.r, &w.hash, sizeof PHOTO - 1, false, true), FB_OK);
    b = info(&w, &w.hash);
    assert_true(b.stage == BLOB_WANTED && b.made_here && b.metered && b.tries == 0);
    sql(&w, "UPDATE fb_blob SET next_ms=9");
    assert_int_equal(blob_want(w.l.r, &w.hash, sizeof PHOTO - 1, false, false), FB_OK);
    b = info(&w, &w.hash);
    assert_true(b.stage == BLOB_WANTED && !b.metered && b.next_ms == 0);
    assert_int_equal(blob_want(w.l.r, &w.hash, sizeof PHOTO - 1, false, false), FB_OK);
    sql(&w, "UPDATE fb_blob SET next_ms=9"); /* a person asks: no waiting */
    assert_int_equal(blob_want(w.l.r, &w.hash, sizeof PHOTO - 1, false, false), FB_OK);
    assert_int_equal(info(&w, &w.hash).next_ms, 0);
    world_end(&w);
}

static void evict__stops_where_there_is_room(void **state)
{
    world w;
    int64_t freed = 0;
    (void)state;
    world_make(&w);
    sql(&w, "UPDATE fb_blob SET state=6");
    assert_int_equal(blob_evict(w.l.r, sizeof PHOTO, &freed), FB_OK);
    assert_int_equal(freed, 0);
    assert_true(is_there(&w, w.file));
    assert_int_equal(blob_evict(w.l.r, 1, &freed), FB_OK);
    assert_int_equal(freed, sizeof PHOTO - 1);
    assert_false(is_there(&w, w.file));
    world_end(&w);
}

/* Another process, whose person is given the same bytes while this one makes room. */
static struct {
    replica *r;
    const fb_files *files;
    const cat_entity *item;
    int when; /* 1: when the file is about to go; 2: it was added */
} other;

static fb_code other_adds(void)
{
    fb_error err = {.code = FB_OK};
    digest hash;
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_ID, .u.id = lab_id(9)}};
    int64_t gseq = 0;
    fb_code rc = capture_begin(other.r, "lab.save", 0, 0, &err);
    if (rc != FB_OK) {
        return rc;
    }
    values[cat_column_str(other.item, "name")] = (fb_value){.kind = FB_KIND_TEXT, .u.text = T("n")};
    assert_int_equal(capture_insert(other.r, other.item, values, &err), FB_OK);
    assert_int_equal(blob_add_bytes(other.r, T(PHOTO), false, &hash, &err), FB_OK);
    assert_int_equal(capture_commit(other.r, &gseq, &err), FB_OK);
    return FB_OK;
}

static fb_code remove_late(void *ctx, const char *path)
{
    if (other.when == 1) {
        other.when = other_adds() == FB_OK ? 2 : 1; /* busy: it waits, and adds afterwards */
    }
    return other.files->remove(ctx, path);
}

static void evict__takes_no_file_that_another_process_was_given_again(void **state)
{
    world w;
    fb_error err = {.code = FB_OK};
    int64_t freed = 0;
    (void)state;
    world_make(&w);
    sql(&w, "UPDATE fb_blob SET state=6, direction=2");
    other.files = mem_files_port(w.files);
    other.when = 1;
    const replica_options o = {.path = DB, .port = &w.l.port, .files = other.files};
    assert_int_equal(replica_open(&o, &other.r, &err), FB_OK);
    assert_int_equal(sql_exec(replica_sql(other.r), "PRAGMA busy_timeout=0"), FB_OK);
    other.item = catalog_entity_str(replica_catalog(other.r), "lab_item");
    w.port.remove = remove_late;
    assert_int_equal(blob_evict(w.l.r, 0, &freed), FB_OK);
    w.port = *other.files;
    if (other.when == 1) {
        assert_int_equal(other_adds(), FB_OK);
    }
    assert_int_equal(info(&w, &w.hash).stage, BLOB_ASK);
    assert_true(is_there(&w, w.file)); /* the only copy */
    replica_close(other.r);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_files__every_call_says_what_is_missing),
        cmocka_unit_test(add__what_has_no_right_size_or_place_is_refused),
        cmocka_unit_test(lend__damage_is_noted_where_something_may_be_written),
        cmocka_unit_test(rows__a_name_that_is_no_hash_is_damage),
        cmocka_unit_test(piece__of_a_file_that_is_shorter_or_gone_is_lost_and_said_so),
        cmocka_unit_test(round__every_file_has_a_row_or_goes),
        cmocka_unit_test(round__a_file_that_cannot_be_read_now_stays),
        cmocka_unit_test(read__that_fails_changes_nothing),
        cmocka_unit_test(damaged__what_was_fetched_is_fetched_again),
        cmocka_unit_test(round__odd_names_and_times),
        cmocka_unit_test(next__asks_no_more_than_a_request_holds),
        cmocka_unit_test(want__what_is_here_or_going_up_is_not_disturbed),
        cmocka_unit_test(evict__stops_where_there_is_room),
        cmocka_unit_test(evict__takes_no_file_that_another_process_was_given_again),
    };
    return cmocka_run_group_tests_name("blob_rows", tests, NULL, NULL);
}
