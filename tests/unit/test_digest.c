/* test_digest.c - SHA-256 (FIPS 180-4 examples), the chain, HMAC (RFC 4231 vectors). */
#include "support/wire_fixture.h"

#include "base/digest.h"

static void digest_is(const digest *d, const char *hex)
{
    buf b;
    buf_init(&b, 64);
    hex_put(&b, d->b, sizeof d->b);
    assert_buf_is(&b, hex);
    buf_clear(&b);
}

static void digest__known_values(void **state)
{
    (void)state;
    digest d;
    digest_of("abc", 3, &d);
    digest_is(&d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_of(NULL, 0, &d);
    digest_is(&d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void digest__chain_is_the_hash_of_both_parts(void **state)
{
    (void)state;
    digest before, joined, chained;
    digest_of("abc", 3, &before);
    char both[32 + 5];
    memcpy(both, before.b, 32);
    memcpy(both + 32, "group", 5);
    digest_of(both, sizeof both, &joined);
    digest_chain(&before, "group", 5, &chained);
    assert_memory_equal(joined.b, chained.b, 32);
    digest_chain(&before, "group", 5, &before); /* in place */
    assert_memory_equal(joined.b, before.b, 32);
}

static void digest__hmac_known_values(void **state)
{
    (void)state;
    digest d;
    char key[131];
    memset(key, 0x0b, 20);
    digest_hmac(key, 20, "Hi There", 8, &d);
    digest_is(&d, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    digest_hmac("Jefe", 4, "what do ya want for nothing?", 28, &d);
    digest_is(&d, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key); /* longer than a block: hashed first */
    digest_hmac(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, &d);
    digest_is(&d, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* Every length around the block edges, from both implementations, and chained. */
static void digest__processor_and_portable_agree(void **state)
{
    (void)state;
    uint8_t data[700];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 131 + (i >> 3));
    }
    for (size_t size = 0; size <= sizeof data; size++) {
        digest a, b;
        digest_of(data, size, &a);
        digest_of_portable(data, size, &b);
        assert_memory_equal(a.b, b.b, sizeof a.b);
    }
    for (size_t size = 0; size + 32 <= sizeof data; size += 7) {
        digest before, chained, whole;
        memcpy(before.b, data, 32);
        digest_chain(&before, data + 32, size, &chained);
        digest_of_portable(data, size + 32, &whole);
        assert_memory_equal(chained.b, whole.b, sizeof whole.b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest__processor_and_portable_agree),
        cmocka_unit_test(digest__known_values),
        cmocka_unit_test(digest__chain_is_the_hash_of_both_parts),
        cmocka_unit_test(digest__hmac_known_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
