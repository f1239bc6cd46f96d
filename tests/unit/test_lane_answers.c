/* test_lane_answers.c - what a server can say to a request of the attachment lane: what the file's
 * row becomes of it, and whether the lane goes on, waits or stops. Of what cannot be so the row
 * keeps what it knew. */
#include "replica/blob.h"
#include "sql/sql.h"
#include "support/lab.h"
#include "support/mem_files.h"
#include "sync/lane_work.h"
#include "wire/sync_msg.h"

#define DB lab_path("lane_answers")
#define PHOTO "a photo of a shelf"
enum { NOW_MS = 5000, PIECE_BYTES = 7, OK_STATUS = 200, NO_STATUS = 404 };

typedef struct world {
    lab l;
    mem_files *files;
    digest hash;
    char file[200]; /* of the photo */
} world;

static void sql(world *w, const char *text)
{
    if (sql_exec(replica_sql(w->l.r), text) != FB_OK) {
        fail_msg("%s: %s", text, sql_message(replica_sql(w->l.r)));
    }
}

/* A photo that was saved here and of which the server knows nothing. */
static void world_make(world *w)
{
    fb_error err = {.code = FB_OK};
    char name[BLOB_NAME_BYTES + 1];
    w->files = mem_files_new(7);
    lab_start(&w->l, DB, 8);
    w->l.files = mem_files_port(w->files);
    lab_reopen(&w->l);
    lab_begin(&w->l, "lab.save");
    lab_insert(&w->l, 1, "one", 1);
    assert_int_equal(blob_add_bytes(w->l.r, T(PHOTO), false, &w->hash, &err), FB_OK);
    lab_commit(&w->l);
    blob_name_put(&w->hash, name);
    snprintf(w->file, sizeof w->file, "%s.blobs/%s", DB, name);
    sql(w, "CREATE TEMP TABLE kept AS SELECT * FROM fb_blob");
}

static void world_end(world *w)
{
    lab_stop(&w->l);
    mem_files_free(w->files);
}

/* --- the table ------------------------------------------------------------------------------ */

#define ASKS "SELECT 1"
#define SENDS "UPDATE fb_blob SET state=2, offset=7"
#define WANTS "UPDATE fb_blob SET state=5, direction=2, offset=7"

typedef struct answer_case {
    const char *why, *before; /* SQL, before the request is made */
    const char *meanwhile;    /* SQL, before the answer comes */
    int status;
    fb_code refusal; /* of NO_STATUS */
    const blob_had *had;
    const blob_stored *stored;
    const blob_got *got;
    fb_code code;
    session_event event;
    const char *row;            /* state, offset, tries, error */
    bool zstd, spoils, removes; /* the file, before the answer */
} answer_case;

#define MADE(s, at)                  \
    &(blob_stored)                   \
    {                                \
        .offset = (at), .state = (s) \
    }
#define GOT(whole, at, text)                                                   \
    &(blob_got)                                                                \
    {                                                                          \
        .size = (whole), .offset = (at), .count = sizeof(text) - 1, .bytes = { \
            text,                                                              \
            sizeof(text) - 1                                                   \
        }                                                                      \
    }
enum { WHOLE = sizeof PHOTO - 1 };

/* clang-format off */
static const answer_case CASES[] = {
    {"two answers to one question", ASKS, NULL, OK_STATUS, .had = &(blob_had){.count = 2, .items = {
        {.state = BLOB_STATE_STORED}, {.state = BLOB_STATE_STORED}}},
     .code = FB_E_PROTOCOL, .event = EV_LATER, .row = "1 0 0 "},
    {"it has it", ASKS, NULL, OK_STATUS, .had = &(blob_had){.count = 1, .items = {
        {.state = BLOB_STATE_STORED}}}, .event = EV_MORE, .row = "3 18 0 "},
    {"a packed answer", ASKS, NULL, OK_STATUS, .zstd = true,
     .had = &(blob_had){.count = 1, .items = {{.state = BLOB_STATE_STORED}}},
     .code = FB_E_PROTOCOL, .event = EV_LATER, .row = "1 0 0 "},
    {"an answer to something else", ASKS, NULL, OK_STATUS, .stored = MADE(BLOB_STATE_STORED, 0),
     .code = FB_E_PROTOCOL, .event = EV_LATER, .row = "1 0 0 "},
    {"no such thing, asked for many", ASKS, NULL, NO_STATUS, FB_E_NOT_FOUND,
     .code = FB_E_NOT_FOUND, .event = EV_LATER, .row = "1 0 0 "},
    {"not with this token", ASKS, NULL, NO_STATUS, FB_E_AUTH,
     .code = FB_E_AUTH, .event = EV_REFUSED, .row = "1 0 0 "},
    {"not with this version", ASKS, NULL, NO_STATUS, FB_E_VERSION,
     .code = FB_E_VERSION, .event = EV_REFUSED, .row = "1 0 0 "},
    {"a server without attachments", ASKS, NULL, NO_STATUS, FB_E_PATH,
     .code = FB_E_PATH, .event = EV_REFUSED, .row = "1 0 0 "},
    {"too much to do", ASKS, NULL, NO_STATUS, FB_E_BUSY, .event = EV_LATER, .row = "1 0 0 "},
    {"its disk is full", ASKS, NULL, NO_STATUS, FB_E_DISK_FULL, .event = EV_LATER, .row = "1 0 0 "},
    {"another epoch", ASKS, NULL, NO_STATUS, FB_E_EPOCH, .event = EV_LATER, .row = "1 0 0 "},
    {"goes on behind the file's end", SENDS, NULL, OK_STATUS,
     .stored = MADE(BLOB_STATE_PART, WHOLE), .event = EV_MORE, .row = "2 0 1 "},
    {"goes on before the file", SENDS, NULL, OK_STATUS, .stored = MADE(BLOB_STATE_PART, -3),
     .code = FB_E_PROTOCOL, .event = EV_LATER, .row = "2 7 1 E_PROTOCOL"},
    {"no progress", SENDS, NULL, OK_STATUS, .stored = MADE(BLOB_STATE_PART, 7),
     .event = EV_MORE, .row = "2 7 1 "},
    {"progress", SENDS, NULL, OK_STATUS, .stored = MADE(BLOB_STATE_PART, 14),
     .event = EV_MORE, .row = "2 14 0 "},
    {"whole", SENDS, NULL, OK_STATUS, .stored = MADE(BLOB_STATE_STORED, 0), .event = EV_MORE,
     .row = "3 18 0 "},
    {"a packed answer to a piece", SENDS, NULL, OK_STATUS, .zstd = true,
     .stored = MADE(BLOB_STATE_STORED, 0), .code = FB_E_PROTOCOL, .event = EV_LATER,
     .row = "2 7 1 E_PROTOCOL"},
    {"not what was announced, but it is here", SENDS, NULL, NO_STATUS, FB_E_INVALID,
     .event = EV_MORE, .row = "2 0 1 E_INVALID"},
    {"not what was announced, and not here", SENDS, NULL, NO_STATUS, FB_E_INVALID, .spoils = true,
     .event = EV_MORE, .row = "7 0 0 E_CORRUPT"},
    {"not what was announced, and gone", SENDS, NULL, NO_STATUS, FB_E_INVALID, .removes = true,
     .event = EV_MORE, .row = "7 0 0 E_CORRUPT"},
    {"too large for the server", SENDS, NULL, NO_STATUS, FB_E_LIMIT, .event = EV_MORE,
     .row = "2 7 1 E_LIMIT"},
    {"nobody told it of this file", SENDS, NULL, NO_STATUS, FB_E_NOT_FOUND, .event = EV_MORE,
     .row = "2 7 1 E_NOT_FOUND"},
    {"too large for the server, and the row cannot be written", SENDS,
     "CREATE TEMP TRIGGER stop BEFORE UPDATE ON fb_blob BEGIN SELECT RAISE(ABORT, 'no'); END",
     NO_STATUS, FB_E_LIMIT, .code = FB_E_INVALID, .event = EV_LATER, .row = "2 7 0 "},
    {"a code that nobody expects here", SENDS, NULL, NO_STATUS, FB_E_METHOD, .code = FB_E_METHOD,
     .event = EV_LATER, .row = "2 7 0 "},
    {"another piece", WANTS, NULL, OK_STATUS, .got = GOT(WHOLE, 0, "photo"), .code = FB_E_PROTOCOL,
     .event = EV_LATER, .row = "5 7 1 E_PROTOCOL"},
    {"another file", WANTS, NULL, OK_STATUS, .got = GOT(WHOLE + 1, 7, "photo"),
     .code = FB_E_PROTOCOL, .event = EV_LATER, .row = "5 7 1 E_PROTOCOL"},
    {"not there yet", WANTS, NULL, OK_STATUS, .got = &(blob_got){.absent = true}, .event = EV_MORE,
     .row = "5 0 0 absent"},
    {"another process has it already", WANTS, "UPDATE fb_blob SET state=6, offset=18", OK_STATUS,
     .got = GOT(WHOLE, 7, "photo"), .event = EV_MORE, .row = "6 18 0 "},
    {"another process had this piece", WANTS, "UPDATE fb_blob SET offset=12", OK_STATUS,
     .got = GOT(WHOLE, 7, "photo"), .event = EV_MORE, .row = "5 12 0 "},
    {"the row has gone", WANTS, "DELETE FROM fb_blob", OK_STATUS, .got = GOT(WHOLE, 7, "photo"),
     .event = EV_MORE, .row = ""},
    {"a piece for which there is no part", WANTS, NULL, OK_STATUS, .got = GOT(WHOLE, 7, "photo"),
     .code = FB_E_IO, .event = EV_LATER, .row = "5 0 1 E_IO"},
    {"not shown to this device", WANTS, NULL, NO_STATUS, FB_E_NOT_FOUND, .event = EV_MORE,
     .row = "7 0 1 E_NOT_FOUND"},
    {"a thumbnail, not shown to this device", WANTS ", thumb=1", NULL, NO_STATUS, FB_E_NOT_FOUND,
     .event = EV_MORE, .row = "5 0 1 absent"},
    {"it says that a fetch is invalid", WANTS, NULL, NO_STATUS, FB_E_INVALID, .event = EV_MORE,
     .row = "5 7 1 E_INVALID"},
    {"other bytes", "UPDATE fb_blob SET state=5, direction=2, offset=0", NULL, OK_STATUS,
     .got = GOT(WHOLE, 0, "a photo of a SHELF"), .event = EV_MORE, .row = "5 0 1 E_CORRUPT"},
    {"all of it", "UPDATE fb_blob SET state=5, direction=2, offset=0", NULL, OK_STATUS,
     .got = GOT(WHOLE, 0, PHOTO), .event = EV_MORE, .row = "6 18 0 "},
};
/* clang-format on */

static void body_put(const answer_case *c, buf *out)
{
    buf_init(out, 1 << 16);
    if (c->status != OK_STATUS) {
        error_msg_put(out, &(error_msg){.code = c->refusal, .text = T("no")});
    } else if (c->had != NULL) {
        blob_had_put(out, c->had);
    } else if (c->stored != NULL) {
        blob_stored_put(out, c->stored);
    } else {
        blob_got_put(out, c->got);
    }
    assert_int_equal(out->code, FB_OK);
}

static void row_take(world *w, char *out, size_t size)
{
    bool row = false;
    sql_stmt *s = sql_prepare(replica_sql(w->l.r),
                              "SELECT state || ' ' || offset || ' ' || tries || ' ' || error FROM "
                              "fb_blob");
    assert_int_equal(sql_step(s, &row), FB_OK);
    fb_text t = row ? sql_text(s, 0) : T("");
    snprintf(out, size, "%.*s", (int)t.size, t.data);
    sql_reset(s);
}

static int case_play(world *w, const answer_case *c)
{
    const lane_clock clock = {NOW_MS, 1};
    const blob_rules rules = {true, true};
    lane_request q;
    lane_result got;
    fb_error err = {.code = FB_OK};
    char row[120];
    buf body, reply;
    buf_init(&body, 1 << 20);
    sql(w, c->before);
    assert_int_equal(lane_build(w->l.r, &rules, PIECE_BYTES, &clock, &body, &q), FB_OK);
    assert_non_null(q.path);
    if (c->meanwhile != NULL) {
        sql(w, c->meanwhile);
    }
    assert_true(!c->spoils || mem_files_flip(w->files, w->file, 3));
    if (c->removes) {
        assert_int_equal(w->l.files->remove(w->l.files->ctx, w->file), FB_OK);
    }
    body_put(c, &reply);
    const pull_answer a = {.status = c->status, .zstd = c->zstd, .body = buf_text(&reply)};
    fb_code rc = lane_take(w->l.r, &q, &a, &clock, &got, &err);
    row_take(w, row, sizeof row);
    bool right = rc == c->code && got.event == c->event && strcmp(row, c->row) == 0 &&
                 (rc == FB_OK || (err.field[0] != '\0' && err.message[0] != '\0'));
    if (!right) {
        print_error("%s: %s, event %d, row '%s'; not %s, %d, '%s'\n", c->why, fb_code_name(rc),
                    got.event, row, fb_code_name(c->code), c->event, c->row);
    }
    buf_clear(&body);
    buf_clear(&reply);
    return !right;
}

static void lane__an_answer_moves_its_row_and_no_further(void **state)
{
    int wrong = 0;
    (void)state;
    world w;
    world_make(&w);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        sql(&w, "DROP TRIGGER IF EXISTS stop; DELETE FROM fb_blob; INSERT INTO fb_blob SELECT * "
                "FROM kept");
        mem_files_put(w.files, w.file, PHOTO, WHOLE);
        wrong += case_play(&w, &CASES[i]);
    }
    lab_check(&w.l);
    world_end(&w);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lane__an_answer_moves_its_row_and_no_further),
    };
    return cmocka_run_group_tests_name("lane_answers", tests, NULL, NULL);
}
