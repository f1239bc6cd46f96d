/* sha256_x86.c - see sha256_x86.h. Source: FIPS 180-4 and the manual of the SHA extensions:
 * sha256rnds2 does two rounds on the halves ABEF and CDGH, sha256msg1 and sha256msg2 extend the
 * schedule by four words. */
#include "base/sha256_x86.h"

#include "base/check.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

static const uint32_t ROUND_CONSTANTS[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

bool sha256_x86_available(void)
{
#if defined(__clang__)
    return false; /* clang's runtime does not know "sha"; asking cpuid each time traps in virtual
                     machines */
#else
    return __builtin_cpu_supports("sha") && __builtin_cpu_supports("sse4.1") &&
           __builtin_cpu_supports("ssse3");
#endif
}

/* The two halves of the state as the instructions want them. */
typedef struct halves {
    __m128i abef, cdgh;
} halves;

__attribute__((target("sha,sse4.1,ssse3"))) static halves block_fold(halves s, const uint8_t *data)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    const halves before = s;
    __m128i w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i)),
                                big_endian);
    }
#pragma GCC unroll 16
    for (int r = 0; r < 16; r++) {
        const __m128i *k = (const __m128i *)(const void *)&ROUND_CONSTANTS[4 * r];
        __m128i wk = _mm_add_epi32(w[r & 3], _mm_load_si128(k));
        s.cdgh = _mm_sha256rnds2_epu32(s.cdgh, s.abef, wk);
        s.abef = _mm_sha256rnds2_epu32(s.abef, s.cdgh, _mm_shuffle_epi32(wk, 0x0E));
        if (r < 12) {
            __m128i next = _mm_sha256msg1_epu32(w[r & 3], w[(r + 1) & 3]);
            next = _mm_add_epi32(next, _mm_alignr_epi8(w[(r + 3) & 3], w[(r + 2) & 3], 4));
            w[r & 3] = _mm_sha256msg2_epu32(next, w[(r + 3) & 3]);
        }
    }
    s.abef = _mm_add_epi32(s.abef, before.abef);
    s.cdgh = _mm_add_epi32(s.cdgh, before.cdgh);
    return s;
}

__attribute__((target("sha,sse4.1,ssse3"))) void
sha256_x86_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    __m128i *words = (__m128i *)(void *)state;
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(&words[0]), 0xB1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(&words[1]), 0x1B);
    halves s = {_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xF0)};
    for (size_t i = 0; i < blocks; i++) {
        s = block_fold(s, data + 64 * i);
    }
    __m128i feba = _mm_shuffle_epi32(s.abef, 0x1B);
    __m128i dchg = _mm_shuffle_epi32(s.cdgh, 0xB1);
    _mm_storeu_si128(&words[0], _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(&words[1], _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool sha256_x86_available(void)
{
    return false;
}

void sha256_x86_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    (void)state;
    (void)data;
    (void)blocks;
    FB_ASSERT(false); /* available said no */
}

#endif
