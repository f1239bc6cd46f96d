/* test_blob_msg.c - messages about the bytes of attachments, and the path of a pack's chunk: what
 * is wrong in one is refused with a code that says whether to ask again, to send less, or to
 * report. */
#include "support/wire_fixture.h"

#include "wire/blob_msg.h"
#include "wire/pack_msg.h"

#define H "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define EP "\"ep\":\"01900000-0000-7000-8000-000000000001\""
#define PUT(rest) "{\"m\":\"put\",\"v\":1,\"h\":\"" H "\"," rest "}\n"
#define GOT(rest) "{\"m\":\"got\"," rest "}\n"

typedef enum message { ASK, HAD, PUT_UP, STORED, GET_DOWN, GOT_DOWN, MESSAGES } message;

typedef struct message_case {
    message which;
    const char *body;
    fb_code code;
} message_case;

static const message_case CASES[] = {
    {ASK, "{\"m\":\"have\",\"v\":1,\"h\":[\"" H "\"]}\n", FB_OK},
    {ASK, "{\"m\":\"have\",\"v\":1,\"h\":[\"" H "\"],\"later\":[1,{}]}\n", FB_OK},
    {ASK, "{\"m\":\"have\",\"v\":1,\"h\":[]}\n", FB_E_PROTOCOL},
    {ASK, "{\"m\":\"have\",\"v\":1,\"h\":[\"0123\"]}\n", FB_E_PROTOCOL},
    {ASK, "{\"m\":\"had\",\"v\":1,\"h\":[\"" H "\"]}\n", FB_E_PROTOCOL},
    {HAD, "{\"m\":\"had\"," EP ",\"n\":[[\"5\",1],[\"0\",0]]}\n", FB_OK},
    {HAD, "{\"m\":\"had\"," EP ",\"n\":[[\"5\",1,\"later\"]],\"more\":1}\n", FB_OK},
    {HAD, "{\"m\":\"had\"," EP ",\"n\":[[\"-5\",1]]}\n", FB_E_PROTOCOL},
    {HAD, "{\"m\":\"had\"," EP ",\"n\":[[\"5\",3]]}\n", FB_E_PROTOCOL},
    {HAD, "{\"m\":\"had\"," EP ",\"n\":[[\"5\",-1]]}\n", FB_E_PROTOCOL},
    {HAD, "{\"m\":\"had\"," EP ",\"n\":[[\"5\"]]}\n", FB_E_PROTOCOL},
    {HAD, "{\"m\":\"had\"," EP ",\"n\":[[]]}\n", FB_E_PROTOCOL},
    {PUT_UP, PUT("\"size\":\"9\",\"at\":\"2\",\"n\":3") "abc", FB_OK},
    {PUT_UP, PUT("\"size\":\"9\",\"at\":\"2\",\"n\":3") "ab", FB_E_TRUNCATED},
    {PUT_UP, PUT("\"size\":\"9\",\"at\":\"2\",\"n\":3") "abcd", FB_E_PROTOCOL},
    {PUT_UP, PUT("\"size\":\"4\",\"at\":\"2\",\"n\":3") "abc", FB_E_PROTOCOL},
    {PUT_UP, PUT("\"size\":\"4\",\"at\":\"5\",\"n\":3") "abc", FB_E_PROTOCOL},
    {PUT_UP, PUT("\"size\":\"4\",\"at\":\"2\",\"n\":0"), FB_E_PROTOCOL},
    {PUT_UP, PUT("\"size\":\"0\",\"at\":\"0\",\"n\":0"), FB_E_PROTOCOL},
    {PUT_UP, PUT("\"size\":\"999999999999\",\"at\":\"0\",\"n\":3") "abc", FB_E_LIMIT},
    {PUT_UP, PUT("\"size\":\"99999999\",\"at\":\"0\",\"n\":99999999") "abc", FB_E_LIMIT},
    {PUT_UP, "{\"m\":\"put\"", FB_E_TRUNCATED},
    {PUT_UP, "", FB_E_TRUNCATED},
    {STORED, "{\"m\":\"stored\"," EP ",\"at\":\"7\",\"s\":2}\n", FB_OK},
    {STORED, "{\"m\":\"stored\"," EP ",\"at\":\"7\",\"s\":3}\n", FB_E_PROTOCOL},
    {GET_DOWN, "{\"m\":\"get\",\"v\":1,\"h\":\"" H "\",\"at\":\"0\",\"n\":5}\n", FB_OK},
    {GET_DOWN, "{\"m\":\"get\",\"v\":1,\"h\":\"" H "\",\"at\":\"0\",\"n\":0}\n", FB_E_PROTOCOL},
    {GET_DOWN, "{\"m\":\"get\",\"v\":1,\"h\":\"" H "\",\"at\":\"0\",\"n\":99999999}\n", FB_E_LIMIT},
    {GOT_DOWN, GOT("\"size\":\"9\",\"at\":\"2\",\"n\":3") "abc", FB_OK},
    {GOT_DOWN, GOT("\"gone\":1"), FB_OK},
    {GOT_DOWN, GOT("\"size\":\"0\",\"at\":\"0\",\"n\":0"), FB_E_PROTOCOL},
    {GOT_DOWN, GOT("\"size\":\"9\",\"at\":\"0\",\"n\":0"), FB_E_PROTOCOL},
    {GOT_DOWN, GOT("\"size\":\"9\",\"at\":\"2\",\"n\":3") "ab", FB_E_TRUNCATED},
};

static fb_code message_take(message which, fb_text body, arena *memory)
{
    blob_ask *ask = arena_take(memory, sizeof *ask);
    blob_had *had = arena_take(memory, sizeof *had);
    blob_put put;
    blob_stored stored;
    blob_get get;
    blob_got got;
    assert_true(ask != NULL && had != NULL);
    switch (which) {
    case ASK:
        return blob_ask_get(body, memory, ask);
    case HAD:
        return blob_had_get(body, memory, had);
    case PUT_UP:
        return blob_put_get(body, memory, &put);
    case STORED:
        return blob_stored_get(body, memory, &stored);
    case GET_DOWN:
        return blob_get_get(body, memory, &get);
    default:
        return blob_got_get(body, memory, &got);
    }
}

static void message__is_taken_whole_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        arena *memory = arena_new(16 << 20);
        fb_code rc = message_take(CASES[i].which, text_of(CASES[i].body), memory);
        if (rc != CASES[i].code) {
            fail_msg("%s: %s, not %s", CASES[i].body, fb_code_name(rc),
                     fb_code_name(CASES[i].code));
        }
        arena_free(memory);
    }
}

/* Whatever it is, a message far longer than it can be is not read at all. */
static void message__that_is_too_long_is_refused_unread(void **state)
{
    static char room[BLOB_ASK_BYTES_MAX + 2];
    (void)state;
    memset(room, ' ', sizeof room);
    for (int which = 0; which < MESSAGES; which++) {
        arena *memory = arena_new(16 << 20);
        assert_int_equal(message_take((message)which, (fb_text){room, sizeof room - 1}, memory),
                         FB_E_LIMIT);
        arena_free(memory);
    }
}

static void more_hashes_than_a_message_holds__are_refused(void **state)
{
    static const struct {
        const char *head, *item, *tail;
        message which;
    } LISTS[] = {{"{\"m\":\"have\",\"v\":1,\"h\":[", "\"" H "\"", "]}\n", ASK},
                 {"{\"m\":\"had\"," EP ",\"n\":[", "[\"5\",1]", "]}\n", HAD}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int count = BLOB_ASK_MAX; count <= BLOB_ASK_MAX + 1; count++) {
            arena *memory = arena_new(16 << 20);
            buf body;
            buf_init(&body, 1 << 20);
            buf_put_str(&body, LISTS[i].head);
            for (int n = 0; n < count; n++) {
                buf_put_str(&body, n > 0 ? "," : "");
                buf_put_str(&body, LISTS[i].item);
            }
            buf_put_str(&body, LISTS[i].tail);
            fb_code rc = message_take(LISTS[i].which, buf_text(&body), memory);
            assert_int_equal(rc, count > BLOB_ASK_MAX ? FB_E_LIMIT : FB_OK);
            buf_clear(&body);
            arena_free(memory);
        }
    }
}

static void path_of_a_chunk__names_a_pack_and_a_number(void **state)
{
    static const struct {
        const char *path;
        bool good;
    } PATHS[] = {
        {"/v1/pack/" H "/0", true},
        {"/v1/pack/" H "/17", true},
        {"/v1/pack/" H "/17/0/1", true},
        {"/v1/pack/" H "/17/4194303/4194304", true},
        {"/v1/pack/" H "/17/4194304/1", false},
        {"/v1/pack/" H "/17/0/4194305", false},
        {"/v1/pack/" H "/17/0/0", false},
        {"/v1/pack/" H "/17/0", false},
        {"/v1/pack/" H "/17/0/", false},
        {"/v1/pack/" H "/17/", false},
        {"/v1/pack/" H "/17/0/1/", false},
        {"/v1/pack/" H "/17/0/1/1", false},
        {"/v1/pack/" H "/17/-1/1", false},
        {"/v1/pack/" H "/4096", false},
        {"/v1/pack/" H "/", false},
        {"/v1/pack/" H, false},
        {"/v1/pack/" H "x0", false},
        {"/v1/back/" H "/0", false},
        {"/v1/pack/" H "/x", false},
        {"/v1/pack/" H "/-1", false},
        {"/v1/pack/" H "/99999", false},
        {"/v1/pack/" H "/9999999999999999", false},
        {"/v1/pack/Z123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/0", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
        pack_piece p;
        bool good = pack_path_get(text_of(PATHS[i].path), &p);
        if (good != PATHS[i].good) {
            fail_msg("%s", PATHS[i].path);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message__is_taken_whole_or_refused),
        cmocka_unit_test(message__that_is_too_long_is_refused_unread),
        cmocka_unit_test(more_hashes_than_a_message_holds__are_refused),
        cmocka_unit_test(path_of_a_chunk__names_a_pack_and_a_number),
    };
    return cmocka_run_group_tests_name("blob messages", tests, NULL, NULL);
}
