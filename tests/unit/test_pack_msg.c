/* test_pack_msg.c - manifests and offers of packs beyond the golden ones: what later versions may
 * say more is skipped, lists end at their limits, an offer that is no offer is refused. */
#include "support/wire_fixture.h"

#include "schema/limits.h"
#include "wire/pack_msg.h"

#define H "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MANIFEST(rest)                                                             \
    "{\"m\":\"manifest\",\"v\":1,\"ep\":\"01900000-0000-7000-8000-000000000001\"," \
    "\"scope\":\"7\",\"pos\":\"9\",\"cat\":3,\"rows\":\"0\"," rest "}"
#define CHUNK "[\"" H "\",90,120]"

static arena *scratch;

static int setup(void **state)
{
    (void)state;
    scratch = arena_new(8 << 20);
    return scratch == NULL;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(scratch);
    return 0;
}

static void manifest__what_a_later_version_says_more_is_skipped(void **state)
{
    static const char *const TEXTS[] = {
        MANIFEST("\"n\":[[\"customer\",0]],\"chunks\":[" CHUNK "]"),
        MANIFEST("\"n\":[[\"customer\",0,\"more\",{}]],\"chunks\":[[\"" H "\",90,120,7,[8]]]"),
        MANIFEST("\"key\":[1],\"n\":[[\"customer\",0]],\"chunks\":[" CHUNK "],\"later\":{}"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        pack_manifest m;
        arena_reset(scratch);
        if (pack_manifest_get(text_of(TEXTS[i]), scratch, &m) != FB_OK) {
            fail_msg("%s", TEXTS[i]);
        }
        assert_int_equal(m.counts_count, 1);
        assert_text_is(m.counts[0].entity, "customer");
        assert_int_equal(m.chunks_count, 1);
        assert_true(m.chunks[0].size_bytes == 90 && m.chunks[0].raw_bytes == 120);
    }
}

static fb_code many_get(int counts, int chunks)
{
    buf b;
    pack_manifest m;
    buf_init(&b, 2 << 20);
    buf_put_str(&b, "{\"m\":\"manifest\",\"v\":1,\"ep\":\"01900000-0000-7000-8000-000000000001\","
                    "\"scope\":\"7\",\"pos\":\"9\",\"cat\":3,\"rows\":\"0\",\"n\":[");
    for (int i = 0; i < counts; i++) {
        buf_put_str(&b, i > 0 ? ",[\"customer\",0]" : "[\"customer\",0]");
    }
    buf_put_str(&b, "],\"chunks\":[");
    for (int i = 0; i < chunks; i++) {
        buf_put_str(&b, i > 0 ? "," CHUNK : CHUNK);
    }
    buf_put_str(&b, "]}");
    arena_reset(scratch);
    fb_code code = pack_manifest_get(buf_text(&b), scratch, &m);
    assert_true(code != FB_OK ||
                (m.counts_count == (uint32_t)counts && m.chunks_count == (uint32_t)chunks));
    buf_clear(&b);
    return code;
}

static void manifest__lists_end_at_their_limits(void **state)
{
    (void)state;
    assert_int_equal(many_get(CATALOG_ENTITIES_MAX, PACK_CHUNKS_MAX), FB_OK);
    assert_int_equal(many_get(CATALOG_ENTITIES_MAX + 1, 1), FB_E_LIMIT);
    assert_int_equal(many_get(1, PACK_CHUNKS_MAX + 1), FB_E_LIMIT);
}

/* The key is the one that the device was given; everything else in an offer is somebody's claim. */
static void offer__that_is_not_signed_with_the_key_is_refused(void **state)
{
    static const char KEY[] = H H, OTHER[] = H "0123456789abcdef0123456789abcdef"
                                               "0123456789abcdef0123456789abcde0";
    static const struct {
        const char *key, *signature;
    } OFFERS[] = {{"", KEY},     {"no digits", KEY}, {OTHER, KEY},
                  {KEY, "0123"}, {KEY, ""},          {KEY, KEY}};
    sign_public key;
    (void)state;
    assert_true(hex_get(text_of(KEY), key.b, sizeof key.b));
    for (size_t i = 0; i < sizeof OFFERS / sizeof OFFERS[0]; i++) {
        const pack_offer o = {text_of(OFFERS[i].key), text_of(OFFERS[i].signature), T("{}")};
        if (pack_offer_check(&o, &key) != FB_E_INVALID) {
            fail_msg("offer %zu was taken", i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest__what_a_later_version_says_more_is_skipped),
        cmocka_unit_test(manifest__lists_end_at_their_limits),
        cmocka_unit_test(offer__that_is_not_signed_with_the_key_is_refused),
    };
    return cmocka_run_group_tests_name("pack_msg", tests, setup, teardown);
}
