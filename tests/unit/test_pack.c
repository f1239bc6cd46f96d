/* test_pack.c - compressed bodies: round trip, hard limit on the unpacked size, damage of every
 * byte and every cut refused, nothing behind the frame. */
#include "support/wire_fixture.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "wire/pack.h"

/* Set: zstd has no memory. The linker puts these before the real ones (tests/CMakeLists.txt). */
static bool starved;
#define VISIBLE __attribute__((visibility("default"))) /* zstd calls them itself */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
size_t __real_ZSTD_compress2(ZSTD_CCtx *c, void *to, size_t room, const void *in, size_t size);
VISIBLE size_t __wrap_ZSTD_compress2(ZSTD_CCtx *c, void *to, size_t room, const void *in,
                                     size_t size);
size_t __wrap_ZSTD_compress2(ZSTD_CCtx *c, void *to, size_t room, const void *in, size_t size)
{
    return starved ? (size_t)-ZSTD_error_memory_allocation
                   : __real_ZSTD_compress2(c, to, room, in, size);
}

size_t __real_ZSTD_decompressStream(ZSTD_DCtx *c, ZSTD_outBuffer *to, ZSTD_inBuffer *from);
VISIBLE size_t __wrap_ZSTD_decompressStream(ZSTD_DCtx *c, ZSTD_outBuffer *to, ZSTD_inBuffer *from);
size_t __wrap_ZSTD_decompressStream(ZSTD_DCtx *c, ZSTD_outBuffer *to, ZSTD_inBuffer *from)
{
    return starved ? (size_t)-ZSTD_error_memory_allocation
                   : __real_ZSTD_decompressStream(c, to, from);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* Want of memory is no damage: the same bytes are read when there is some. */
static void pack__want_of_memory_is_told_from_damage(void **state)
{
    buf packed, back;
    (void)state;
    buf_init(&packed, 1 << 16);
    buf_init(&back, 1 << 16);
    starved = true;
    assert_int_equal(pack_put(&packed, T("some words")), FB_E_NO_MEMORY);
    assert_int_equal(packed.size, 0);
    starved = false;
    assert_int_equal(pack_put(&packed, T("some words")), FB_OK);
    starved = true;
    assert_int_equal(pack_get(&back, buf_text(&packed), 100), FB_E_NO_MEMORY);
    assert_int_equal(back.size, 0);
    starved = false;
    assert_int_equal(pack_get(&back, buf_text(&packed), 100), FB_OK);
    assert_buf_is(&back, "some words");
    buf_clear(&packed);
    buf_clear(&back);
}

static buf sample(size_t size)
{
    buf b;
    buf_init(&b, size);
    for (size_t i = 0; i < size; i++) {
        buf_put_char(&b, (char)("[\"0190-4bc\",12,3]\n"[i % 18] + (i % 97 == 0)));
    }
    assert_int_equal(b.code, FB_OK);
    return b;
}

static void pack__every_size_goes_round(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 131072, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        buf plain = sample(sizes[i]), packed, back;
        buf_init(&packed, 8 << 20);
        buf_init(&back, 8 << 20);
        buf_put_str(&packed, "before");
        buf_put_str(&back, "before");
        assert_int_equal(pack_put(&packed, buf_text(&plain)), FB_OK);
        assert_memory_equal(packed.data, "before", 6);
        fb_text frame = {packed.data + 6, packed.size - 6};
        assert_int_equal(pack_get(&back, frame, sizes[i]), FB_OK); /* exactly as much as allowed */
        assert_int_equal(back.size, sizes[i] + 6);
        assert_true(sizes[i] == 0 || memcmp(back.data + 6, plain.data, sizes[i]) == 0);
        buf_clear(&plain);
        buf_clear(&packed);
        buf_clear(&back);
    }
}

static void pack__more_than_allowed_is_refused(void **state)
{
    (void)state;
    buf plain = sample(200000), packed, back;
    buf_init(&packed, 8 << 20);
    buf_init(&back, 8 << 20);
    assert_int_equal(pack_put(&packed, buf_text(&plain)), FB_OK);
    assert_int_equal(pack_get(&back, buf_text(&packed), 199999), FB_E_LIMIT);
    assert_int_equal(back.size, 0);
    buf_clear(&back);
    buf_init(&back, 1000); /* the buffer's own limit holds too */
    assert_int_equal(pack_get(&back, buf_text(&packed), 1 << 20), FB_E_LIMIT);
    assert_int_equal(back.size, 0);
    buf_clear(&plain);
    buf_clear(&packed);
    buf_clear(&back);
}

/* A frame that does not say its size, made by streaming; frees ctx. */
static void stream_put(ZSTD_CCtx *ctx, buf *out, const buf *plain)
{
    size_t room = ZSTD_compressBound(plain->size);
    ZSTD_outBuffer into = {buf_reserve(out, room), room, 0};
    for (size_t at = 0; at < plain->size; at += 1000) {
        size_t n = plain->size - at < 1000 ? plain->size - at : 1000;
        ZSTD_inBuffer from = {plain->data + at, n, 0};
        assert_false(ZSTD_isError(ZSTD_compressStream2(ctx, &into, &from, ZSTD_e_continue)));
    }
    ZSTD_inBuffer none = {NULL, 0, 0};
    assert_int_equal(ZSTD_compressStream2(ctx, &into, &none, ZSTD_e_end), 0);
    out->size += into.pos;
    ZSTD_freeCCtx(ctx);
}

static void pack__frame_without_its_size_is_bounded_all_the_same(void **state)
{
    (void)state;
    buf plain = sample(300000), packed, back;
    buf_init(&packed, 8 << 20);
    buf_init(&back, 8 << 20);
    stream_put(ZSTD_createCCtx(), &packed, &plain);
    assert_true(ZSTD_getFrameContentSize(packed.data, packed.size) == ZSTD_CONTENTSIZE_UNKNOWN);
    assert_int_equal(pack_get(&back, buf_text(&packed), 300000), FB_OK);
    assert_int_equal(back.size, 300000);
    assert_memory_equal(back.data, plain.data, 300000);
    buf_reset(&back);
    assert_int_equal(pack_get(&back, buf_text(&packed), 299999), FB_E_LIMIT);
    assert_int_equal(back.size, 0);
    buf_clear(&plain);
    buf_clear(&packed);
    buf_clear(&back);
}

static void pack__bomb_takes_no_more_memory_than_allowed(void **state)
{
    (void)state;
    buf packed, back;
    char *zeros = calloc(1, 50 << 20);
    buf_init(&packed, 64 << 20);
    buf_init(&back, 64 << 20);
    assert_int_equal(pack_put(&packed, (fb_text){zeros, 50 << 20}), FB_OK);
    assert_true(packed.size < 20000);
    assert_int_equal(pack_get(&back, buf_text(&packed), 8 << 20), FB_E_LIMIT);
    assert_true(back.capacity <= 9 << 20);
    free(zeros);
    buf_clear(&packed);
    buf_clear(&back);
}

static void pack__damage_cuts_and_trailing_bytes_are_refused(void **state)
{
    (void)state;
    buf plain = sample(2000), packed, back;
    buf_init(&packed, 1 << 20);
    buf_init(&back, 1 << 20);
    assert_int_equal(pack_put(&packed, buf_text(&plain)), FB_OK);
    for (size_t n = 0; n < packed.size; n++) {
        char *cut = malloc(n > 0 ? n : 1);
        memcpy(cut, packed.data, n);
        assert_int_equal(pack_get(&back, (fb_text){cut, n}, 1 << 20), FB_E_PROTOCOL);
        assert_int_equal(back.size, 0);
        free(cut);
    }
    for (size_t i = 0; i < packed.size; i++) {
        packed.data[i] = (char)(packed.data[i] ^ 0x10);
        buf_reset(&back);
        fb_code code = pack_get(&back, buf_text(&packed), 1 << 20);
        /* a changed header bit may be without meaning, but never gives other content */
        assert_true(code == FB_E_PROTOCOL || code == FB_E_LIMIT ||
                    (back.size == plain.size && memcmp(back.data, plain.data, plain.size) == 0));
        packed.data[i] = (char)(packed.data[i] ^ 0x10);
    }
    buf_put_char(&packed, 'x');
    buf_reset(&back);
    assert_int_equal(pack_get(&back, buf_text(&packed), 1 << 20), FB_E_PROTOCOL);
    packed.size--;
    assert_int_equal(pack_put(&packed, buf_text(&plain)), FB_OK); /* a second frame */
    assert_int_equal(pack_get(&back, buf_text(&packed), 1 << 20), FB_E_PROTOCOL);
    assert_int_equal(pack_get(&back, T("plain text is no frame"), 1 << 20), FB_E_PROTOCOL);
    buf_clear(&plain);
    buf_clear(&packed);
    buf_clear(&back);
}

/* A frame that wants a larger window than a device may be asked for; small, and well made. */
static void pack__window_that_is_too_large_is_refused(void **state)
{
    enum { WINDOW_LOG = 27 };
    (void)state;
    buf plain = sample(3000), packed, back;
    buf_init(&packed, 1 << 20);
    buf_init(&back, 1 << 20);
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, WINDOW_LOG)));
    stream_put(ctx, &packed, &plain);
    assert_int_equal(pack_get(&back, buf_text(&packed), 1 << 20), FB_E_LIMIT);
    assert_int_equal(back.size, 0);
    buf_clear(&plain);
    buf_clear(&packed);
    buf_clear(&back);
}

static void pack__no_room_for_the_result_is_told(void **state)
{
    (void)state;
    buf plain = sample(2000), packed;
    buf_init(&packed, 10);
    assert_int_equal(pack_put(&packed, buf_text(&plain)), FB_E_LIMIT);
    assert_int_equal(packed.size, 0);
    buf_clear(&plain);
    buf_clear(&packed);
}

/* What a frame left behind, whole or cut, does not reach the next one. */
static void packer__calls_do_not_know_each_other(void **state)
{
    (void)state;
    packer *p = packer_new();
    assert_non_null(p);
    for (size_t size = 1; size < 40000; size = size * 3 + 1) {
        buf plain = sample(size), packed, back;
        buf_init(&packed, 8 << 20);
        buf_init(&back, 8 << 20);
        assert_int_equal(packer_put(p, &packed, buf_text(&plain)), FB_OK);
        fb_text cut = {packed.data, packed.size - 1};
        assert_int_equal(packer_get(p, &back, cut, size + 1), FB_E_PROTOCOL);
        assert_int_equal(back.size, 0);
        assert_int_equal(packer_get(p, &back, buf_text(&packed), size - 1), FB_E_LIMIT);
        assert_int_equal(packer_get(p, &back, buf_text(&packed), size), FB_OK);
        assert_int_equal(back.size, size);
        assert_memory_equal(back.data, plain.data, size);
        buf_reset(&back);
        assert_int_equal(pack_get(&back, buf_text(&packed), size), FB_OK); /* the same form */
        assert_int_equal(back.size, size);
        buf_clear(&plain);
        buf_clear(&packed);
        buf_clear(&back);
    }
    packer_free(p);
    packer_free(NULL);
}

static void pack__wrong_calls_are_refused(void **state)
{
    buf out;
    packer *p = packer_new();
    const fb_text none = {NULL, 3}, in = {"abc", 3};
    (void)state;
    assert_non_null(p);
    buf_init(&out, 1 << 16);
    assert_int_equal(pack_put(NULL, in), FB_E_MISUSE);
    assert_int_equal(pack_put(&out, none), FB_E_MISUSE);
    assert_int_equal(pack_put_small(NULL, in), FB_E_MISUSE);
    assert_int_equal(pack_get(NULL, in, 100), FB_E_MISUSE);
    assert_int_equal(pack_get(&out, none, 100), FB_E_MISUSE);
    assert_int_equal(packer_put(NULL, &out, in), FB_E_MISUSE);
    assert_int_equal(packer_put(p, NULL, in), FB_E_MISUSE);
    assert_int_equal(packer_put(p, &out, none), FB_E_MISUSE);
    assert_int_equal(packer_get(NULL, &out, in, 100), FB_E_MISUSE);
    assert_int_equal(packer_get(p, NULL, in, 100), FB_E_MISUSE);
    assert_int_equal(packer_get(p, &out, none, 100), FB_E_MISUSE);
    assert_int_equal(pack_get(&out, (fb_text){NULL, 0}, 100),
                     FB_E_PROTOCOL); /* nothing is no frame */
    assert_int_equal(packer_get(p, &out, (fb_text){NULL, 0}, 100), FB_E_PROTOCOL);
    assert_int_equal(out.size, 0);
    assert_int_equal(packer_put(p, &out, (fb_text){NULL, 0}), FB_OK); /* but can be packed */
    assert_true(out.size > 0);
    buf_clear(&out);
    packer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pack__every_size_goes_round),
        cmocka_unit_test(pack__more_than_allowed_is_refused),
        cmocka_unit_test(pack__frame_without_its_size_is_bounded_all_the_same),
        cmocka_unit_test(pack__bomb_takes_no_more_memory_than_allowed),
        cmocka_unit_test(pack__damage_cuts_and_trailing_bytes_are_refused),
        cmocka_unit_test(pack__window_that_is_too_large_is_refused),
        cmocka_unit_test(pack__no_room_for_the_result_is_told),
        cmocka_unit_test(pack__want_of_memory_is_told_from_damage),
        cmocka_unit_test(packer__calls_do_not_know_each_other),
        cmocka_unit_test(pack__wrong_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
