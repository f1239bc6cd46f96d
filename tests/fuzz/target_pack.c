/* target_pack.c - zstd bodies: bounded whatever the frame says, the kept state never changes an
 * answer, and what is unpacked can be packed and unpacked again. */
#include "fuzz.h"

#include "wire/pack.h"

enum { SMALL_BYTES = 1000, LARGE_BYTES = 1 << 20 };
static packer *kept;

void fuzz_open(void)
{
    kept = packer_new();
    MUST(kept != NULL);
}

void fuzz_finish(void)
{
    packer_free(kept);
}

static void again(const buf *plain)
{
    buf packed, unpacked;
    buf_init(&packed, 4 * LARGE_BYTES);
    buf_init(&unpacked, LARGE_BYTES);
    MUST_OK(pack_put(&packed, buf_text(plain)));
    MUST_OK(packer_get(kept, &unpacked, buf_text(&packed), plain->size));
    MUST(text_equal(buf_text(plain), buf_text(&unpacked)));
    buf_clear(&packed);
    buf_clear(&unpacked);
}

static void unpack(fb_text in, size_t max_bytes)
{
    buf plain, other;
    buf_init(&plain, 2 * LARGE_BYTES);
    buf_init(&other, 2 * LARGE_BYTES);
    fb_code rc = pack_get(&plain, in, max_bytes);
    MUST(rc == FB_OK || rc == FB_E_LIMIT || rc == FB_E_PROTOCOL);
    MUST(plain.size <= max_bytes && (rc == FB_OK || plain.size == 0));
    /* A frame that lies about its size is beyond the limit or damaged, by the room zstd has kept.
     */
    MUST((packer_get(kept, &other, in, max_bytes) == FB_OK) == (rc == FB_OK));
    MUST(text_equal(buf_text(&plain), buf_text(&other)));
    if (rc == FB_OK) {
        again(&plain);
    }
    buf_clear(&plain);
    buf_clear(&other);
}

void fuzz_run(fb_text in)
{
    unpack(in, SMALL_BYTES);
    unpack(in, LARGE_BYTES);
}

static void seed_packed(fb_text plain)
{
    buf packed;
    buf_init(&packed, 4 * LARGE_BYTES);
    MUST_OK(pack_put(&packed, plain));
    seed_put(buf_text(&packed));
    buf_clear(&packed);
}

void fuzz_seeds(void)
{
    static char zeros[SMALL_BYTES + 1];
    buf body = source_file("schema/vectors/body_up.jsonl");
    seed_packed(buf_text(&body));
    seed_packed(text_of(""));
    seed_packed((fb_text){zeros, SMALL_BYTES});
    seed_packed((fb_text){zeros, SMALL_BYTES + 1});
    buf_clear(&body);
}
