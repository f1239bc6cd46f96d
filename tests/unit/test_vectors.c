/* test_vectors.c - the golden messages of schema/vectors: what is read and written again has the
 * same bytes, and what must be refused is refused with the code given. */
#include "support/wire_fixture.h"

#include "wire/blob_msg.h"
#include "wire/enrol_msg.h"
#include "wire/group_msg.h"
#include "wire/sync_msg.h"

static catalog *cat;
static arena *scratch;

static int setup(void **state)
{
    (void)state;
    cat = fixture_catalog();
    scratch = arena_new(8 << 20);
    return cat == NULL || scratch == NULL;
}

static int teardown(void **state)
{
    (void)state;
    catalog_free(cat);
    arena_free(scratch);
    return 0;
}

/* Reads a line and writes it to `out`. */
typedef fb_code (*turn)(fb_text line, buf *out);

static fb_code request_turn(fb_text line, buf *out)
{
    sync_request m;
    FB_TRY(sync_request_get(line, scratch, &m));
    sync_request_put(out, &m);
    return FB_OK;
}

static fb_code reply_turn(fb_text line, buf *out)
{
    sync_reply m;
    FB_TRY(sync_reply_get(line, scratch, &m));
    sync_reply_put(out, &m);
    return FB_OK;
}

static fb_code offer_turn(const pack_offer *o, buf *out)
{
    sign_public key;
    signature sig;
    if (!hex_get(o->key, key.b, sizeof key.b) || !hex_get(o->signature, sig.b, sizeof sig.b)) {
        return FB_E_PROTOCOL;
    }
    assert_int_equal(pack_offer_check(o, &key), FB_OK); /* the vector's is a real one */
    pack_offer_put(out, &key, &sig, o->manifest);
    return FB_OK;
}

static fb_code manifest_turn(fb_text line, buf *out)
{
    pack_manifest m;
    FB_TRY(pack_manifest_get(line, scratch, &m));
    pack_manifest_put(out, &m);
    buf_put_char(out, '\n');
    return FB_OK;
}

static fb_code item_turn(fb_text line, buf *out)
{
    reply_item m;
    FB_TRY(reply_item_get(line, scratch, &m));
    switch (m.line) {
    case LINE_RUN:
        verdict_run_put(out, m.run_from, m.run_to, m.run_cid);
        break;
    case LINE_VERDICT:
        verdict_put(out, &m.verdict);
        break;
    case LINE_CATALOG:
        catalog_line_put(out, m.catalog_json);
        break;
    case LINE_PACK:
        return offer_turn(&m.pack, out);
    case LINE_PAGE:
        page_head_put(out, &m.page);
        break;
    case LINE_END:
        sync_end_put(out);
        break;
    }
    return FB_OK;
}

static fb_code group_turn(fb_text line, buf *out)
{
    group g;
    group_writer w;
    FB_TRY(group_get(line, cat, scratch, &g, NULL));
    group_put_begin(&w, out, &g.head);
    for (uint32_t i = 0; i < g.ops_count; i++) {
        group_put_op(&w, &g.ops[i]);
    }
    group_put_end(&w);
    buf_put_char(out, '\n');
    return FB_OK;
}

static block_head open_block;

static fb_code block_turn(fb_text line, buf *out)
{
    if (line.data[0] == '{') {
        FB_TRY(block_head_get(line, cat, scratch, &open_block));
        block_head_put(out, open_block.entity, open_block.kind, open_block.columns,
                       open_block.columns_count);
        return FB_OK;
    }
    fb_value values[CATALOG_COLUMNS_LIMIT];
    FB_TRY(row_get(line, &open_block, scratch, values));
    row_put(out, open_block.entity, open_block.columns, open_block.columns_count, values);
    return FB_OK;
}

static fb_code enrol_turn(fb_text line, buf *out)
{
    enrol_request m;
    FB_TRY(enrol_request_get(line, scratch, &m));
    enrol_request_put(out, &m);
    return FB_OK;
}

static fb_code enrolled_turn(fb_text line, buf *out)
{
    enrol_reply m;
    FB_TRY(enrol_reply_get(line, scratch, &m));
    enrol_reply_put(out, &m);
    return FB_OK;
}

static fb_code error_turn(fb_text line, buf *out)
{
    error_msg m;
    FB_TRY(error_msg_get(line, scratch, &m));
    error_msg_put(out, &m);
    return FB_OK;
}

static fb_code blob_ask_turn(fb_text line, buf *out)
{
    static blob_ask m;
    FB_TRY(blob_ask_get(line, scratch, &m));
    blob_ask_put(out, &m);
    return FB_OK;
}

static fb_code blob_had_turn(fb_text line, buf *out)
{
    static blob_had m;
    FB_TRY(blob_had_get(line, scratch, &m));
    blob_had_put(out, &m);
    return FB_OK;
}

static fb_code blob_stored_turn(fb_text line, buf *out)
{
    blob_stored m;
    FB_TRY(blob_stored_get(line, scratch, &m));
    blob_stored_put(out, &m);
    return FB_OK;
}

static fb_code blob_get_turn(fb_text line, buf *out)
{
    blob_get m;
    FB_TRY(blob_get_get(line, scratch, &m));
    blob_get_put(out, &m);
    return FB_OK;
}

static fb_code blob_put_turn(fb_text body, buf *out)
{
    blob_put m;
    FB_TRY(blob_put_get(body, scratch, &m));
    blob_put_put(out, &m);
    return FB_OK;
}

static fb_code blob_got_turn(fb_text body, buf *out)
{
    blob_got m;
    FB_TRY(blob_got_get(body, scratch, &m));
    blob_got_put(out, &m);
    return FB_OK;
}

static const struct {
    const char *name;
    turn turn;
} KINDS[] = {
    {"sync_request", request_turn}, {"sync_reply", reply_turn},  {"reply_item", item_turn},
    {"group", group_turn},          {"block", block_turn},       {"enrol_request", enrol_turn},
    {"enrol_reply", enrolled_turn}, {"error", error_turn},       {"pack_manifest", manifest_turn},
    {"blob_ask", blob_ask_turn},    {"blob_had", blob_had_turn}, {"blob_stored", blob_stored_turn},
    {"blob_get", blob_get_turn},
};
/* Bodies with bytes behind their line: as texts in blob_body.jsonl. */
static const struct {
    const char *name;
    turn turn;
} BODIES[] = {{"blob_put", blob_put_turn}, {"blob_got", blob_got_turn}};
enum { BODIES_COUNT = sizeof BODIES / sizeof BODIES[0] };

static turn turn_of(fb_text what)
{
    for (size_t k = 0; k < sizeof KINDS / sizeof KINDS[0]; k++) {
        if (text_is(what, KINDS[k].name)) {
            return KINDS[k].turn;
        }
    }
    for (size_t k = 0; k < BODIES_COUNT; k++) {
        if (text_is(what, BODIES[k].name)) {
            return BODIES[k].turn;
        }
    }
    return NULL;
}

enum { KINDS_COUNT = sizeof KINDS / sizeof KINDS[0] };

static void same_bytes(const char *file, fb_text line, turn turn_it)
{
    buf out;
    buf_init(&out, 1 << 20);
    fb_code code = turn_it(line, &out);
    fb_text whole = {line.data, line.size + 1};
    if (code != FB_OK || !text_equal(buf_text(&out), whole)) {
        fail_msg("%s: %s\n  golden %.*s\n  got    %s", file, fb_code_name(code), (int)line.size,
                 line.data, buf_cstr(&out));
    }
    buf_clear(&out);
}

static void vectors__read_and_written_again_have_the_same_bytes(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS_COUNT; k++) {
        char path[100];
        snprintf(path, sizeof path, "schema/vectors/%s.jsonl", KINDS[k].name);
        buf content = file_read(path);
        line_reader lines;
        fb_text line;
        size_t count = 0;
        line_reader_init(&lines, buf_text(&content));
        while (line_next(&lines, &line)) {
            arena_reset(scratch);
            same_bytes(path, line, KINDS[k].turn);
            count++;
        }
        assert_int_equal(lines.code, FB_OK);
        assert_true(count >= 2);
        buf_clear(&content);
    }
}

/* Which turn a line of a whole body takes. */
static turn body_turn(fb_text line, bool up, size_t number)
{
    if (number == 0) {
        return up ? request_turn : reply_turn;
    }
    bool message = line.size > 5 && memcmp(line.data, "{\"m\":", 5) == 0;
    if (message) {
        return item_turn;
    }
    return up ? group_turn : block_turn;
}

static void vectors__whole_bodies_read_line_by_line(void **state)
{
    (void)state;
    static const char *const files[2] = {"schema/vectors/body_up.jsonl",
                                         "schema/vectors/body_down.jsonl"};
    for (int up = 0; up < 2; up++) {
        buf content = file_read(files[1 - up]);
        line_reader lines;
        fb_text line;
        size_t number = 0;
        line_reader_init(&lines, buf_text(&content));
        while (line_next(&lines, &line)) {
            arena_reset(scratch);
            same_bytes(files[1 - up], line, body_turn(line, up == 1, number++));
        }
        assert_int_equal(lines.code, FB_OK);
        assert_true(number >= 4);
        buf_clear(&content);
    }
}

static void refused(fb_text line)
{
    json_reader r;
    fb_text key, what, text, error;
    arena *own = arena_new(1 << 20);
    json_reader_init(&r, line, own);
    json_object_begin(&r);
    assert_true(json_object_next(&r, &key));
    what = json_string(&r);
    assert_true(json_object_next(&r, &key));
    text = json_string(&r);
    assert_true(json_object_next(&r, &key));
    error = json_string(&r);
    assert_int_equal(r.code, FB_OK);
    turn turn_it = turn_of(what);
    assert_non_null(turn_it);
    buf out;
    buf_init(&out, 1 << 20);
    arena_reset(scratch);
    fb_code code = turn_it(text, &out);
    if (!text_is(error, fb_code_name(code)) || out.size != 0) {
        fail_msg("%.*s gave %s", (int)line.size, line.data, fb_code_name(code));
    }
    buf_clear(&out);
    arena_free(own);
}

static void vectors__refused_texts_are_refused_with_their_code(void **state)
{
    (void)state;
    buf content = file_read("schema/vectors/refused.jsonl");
    line_reader lines;
    fb_text line;
    line_reader_init(&lines, buf_text(&content));
    while (line_next(&lines, &line)) {
        refused(line);
    }
    assert_int_equal(lines.code, FB_OK);
    buf_clear(&content);
}

/* Same bytes out as in, and refused after every cut. */
static void body_turns(fb_text line)
{
    json_reader r;
    fb_text key;
    buf out;
    arena *own = arena_new(1 << 20);
    json_reader_init(&r, line, own);
    json_object_begin(&r);
    assert_true(json_object_next(&r, &key));
    turn turn_it = turn_of(json_string(&r));
    assert_true(json_object_next(&r, &key));
    fb_text text = json_string(&r);
    assert_int_equal(r.code, FB_OK);
    assert_non_null(turn_it);
    buf_init(&out, 1 << 20);
    for (size_t n = 0; n < text.size; n++) {
        arena_reset(scratch);
        assert_int_not_equal(turn_it((fb_text){text.data, n}, &out), FB_OK);
        assert_int_equal(out.size, 0);
    }
    assert_int_equal(turn_it(text, &out), FB_OK);
    assert_true(text_equal(buf_text(&out), text));
    buf_clear(&out);
    arena_free(own);
}

static void vectors__bodies_with_bytes_have_the_same_bytes(void **state)
{
    (void)state;
    buf content = file_read("schema/vectors/blob_body.jsonl");
    line_reader lines;
    fb_text line;
    size_t count = 0;
    line_reader_init(&lines, buf_text(&content));
    while (line_next(&lines, &line)) {
        body_turns(line);
        count++;
    }
    assert_int_equal(lines.code, FB_OK);
    assert_true(count >= 4);
    buf_clear(&content);
}

static void vectors__every_cut_of_every_message_is_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS_COUNT; k++) {
        char path[100];
        snprintf(path, sizeof path, "schema/vectors/%s.jsonl", KINDS[k].name);
        buf content = file_read(path), out;
        line_reader lines;
        fb_text line;
        buf_init(&out, 1 << 20);
        line_reader_init(&lines, buf_text(&content));
        while (line_next(&lines, &line)) {
            for (size_t n = 1; n < line.size; n++) {
                arena_reset(scratch);
                assert_int_not_equal(KINDS[k].turn((fb_text){line.data, n}, &out), FB_OK);
            }
            assert_int_equal(KINDS[k].turn(line, &out),
                             FB_OK); /* opens the block of the rows behind */
        }
        buf_clear(&out);
        buf_clear(&content);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors__read_and_written_again_have_the_same_bytes),
        cmocka_unit_test(vectors__whole_bodies_read_line_by_line),
        cmocka_unit_test(vectors__bodies_with_bytes_have_the_same_bytes),
        cmocka_unit_test(vectors__refused_texts_are_refused_with_their_code),
        cmocka_unit_test(vectors__every_cut_of_every_message_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
