/* target_json.c - strict JSON: what json_check accepts can be taken apart and written again, the
 * rewritten text says the same, and cJSON (which runs behind the check) reads it too (JSN-1). */
#include "fuzz.h"

#include <cjson/cJSON.h>

#include "wire/json.h"

enum { SCRATCH_BYTES = 16 << 20 };
static arena *scratch;

void fuzz_open(void)
{
    scratch = arena_new(SCRATCH_BYTES);
    MUST(scratch != NULL);
}

void fuzz_finish(void)
{
    arena_free(scratch);
}

static void copy_value(json_reader *r, json_writer *w);

static void copy_object(json_reader *r, json_writer *w)
{
    fb_text key;
    json_put_object(w);
    while (json_object_next(r, &key)) {
        json_put_key_text(w, key);
        copy_value(r, w);
    }
    json_put_end(w);
}

static void copy_array(json_reader *r, json_writer *w)
{
    json_put_array(w);
    while (json_array_next(r)) {
        copy_value(r, w);
    }
    json_put_end(w);
}

/* Begins an array or object; false when it is too deep, where the writer may not follow. */
static bool begin(json_reader *r, json_writer *w, json_type type)
{
    if (type == JSON_OBJECT) {
        json_object_begin(r);
    } else {
        json_array_begin(r);
    }
    if (r->code != FB_OK) {
        json_put_null(w);
    }
    return r->code == FB_OK;
}

static void copy_value(json_reader *r, json_writer *w)
{
    json_type type = json_peek(r);
    switch (type) {
    case JSON_OBJECT:
        if (begin(r, w, type)) {
            copy_object(r, w);
        }
        return;
    case JSON_ARRAY:
        if (begin(r, w, type)) {
            copy_array(r, w);
        }
        return;
    case JSON_STRING:
        json_put_string(w, json_string(r));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        json_put_bool(w, json_bool(r));
        return;
    case JSON_NULL:
        (void)json_null(r); /* false for "nul": the reader has failed */
        json_put_null(w);
        return;
    case JSON_NUMBER:
        json_put_raw(w, json_raw(r));
        return;
    case JSON_NONE:
        json_fail(r, FB_E_JSON, "no value");
        json_put_null(w); /* the writer wants a whole text all the same */
        return;
    }
}

static fb_code copy_text(fb_text in, buf *out)
{
    json_reader r;
    json_writer w;
    arena_reset(scratch);
    json_reader_init(&r, in, scratch);
    json_writer_init(&w, out);
    copy_value(&r, &w);
    return json_finish(&r);
}

/* Every way to take one value, with its own reader: none may crash or go on after a failure. */
static void take_each_way(fb_text in)
{
    for (int way = 0; way < 6; way++) {
        json_reader r;
        arena_reset(scratch);
        json_reader_init(&r, in, scratch);
        switch (way) {
        case 0:
            (void)json_int(&r);
            break;
        case 1:
            (void)json_int_string(&r);
            break;
        case 2:
            (void)json_string(&r);
            break;
        case 3:
            (void)json_bool(&r);
            break;
        case 4:
            json_skip(&r);
            break;
        default:
            (void)json_raw(&r);
            break;
        }
        fb_code rc = json_finish(&r);
        MUST(rc == FB_OK || r.why[0] != '\0');
        MUST(way < 4 || rc == json_check(in, scratch));
    }
}

void fuzz_run(fb_text in)
{
    buf first, second;
    buf_init(&first, SCRATCH_BYTES);
    buf_init(&second, SCRATCH_BYTES);
    arena_reset(scratch);
    fb_code checked = json_check(in, scratch);
    MUST(checked == FB_OK || checked == FB_E_JSON || checked == FB_E_LIMIT);
    fb_code copied = copy_text(in, &first);
    MUST((copied == FB_OK) == (checked == FB_OK));
    if (checked == FB_OK) {
        MUST_OK(first.code);
        MUST_OK(copy_text(buf_text(&first), &second));
        MUST(text_equal(buf_text(&first), buf_text(&second)));
        cJSON *tree = cJSON_ParseWithLength(in.data, in.size);
        MUST(tree != NULL);
        cJSON_Delete(tree);
    }
    take_each_way(in);
    buf_clear(&first);
    buf_clear(&second);
}

void fuzz_seeds(void)
{
    static const char *const FILES[] = {"sync_request", "reply_item", "group", "error"};
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "schema/vectors/%s.jsonl", FILES[i]);
        seed_lines("", path);
    }
    seed_put(text_of("[[[[1.5e-3,-0,1E+9,\"\\ud83d\\ude00\\u0000\\b\\f\\n\\r\\t\\/\",true,false,"
                     "null,{\"a\":{\"a\":{}}}]]]]\n"));
    seed_put(text_of("-9223372036854775808"));
    seed_put(text_of("\"-9223372036854775808\""));
    seed_put(text_of("\"\xe5\x8c\x97\xf0\x9f\x98\x80\""));
}
