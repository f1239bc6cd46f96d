/* pack.c - see pack.h. One zstd frame with its checksum; anything beside it is refused. */
#include "wire/pack.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/check.h"

enum { PACK_LEVEL = 1, PACK_LEVEL_SMALL = 9, PACK_WINDOW_LOG_MAX = 24, PACK_STEP_BYTES = 64 << 10 };

/* The code of a failed call of zstd. */
static fb_code code_of(size_t rc)
{
    switch (ZSTD_getErrorCode(rc)) {
    case ZSTD_error_memory_allocation:
        return FB_E_NO_MEMORY;
    case ZSTD_error_frameParameter_windowTooLarge:
        return FB_E_LIMIT;
    default:
        return FB_E_PROTOCOL;
    }
}

static fb_code pack_with(ZSTD_CCtx *ctx, buf *out, fb_text in, int level)
{
    size_t bound = ZSTD_compressBound(in.size);
    char *to = ZSTD_isError(bound) ? NULL : buf_reserve(out, bound);
    if (to == NULL) {
        return out->code != FB_OK ? out->code : FB_E_LIMIT;
    }
    (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level);
    (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(ctx, to, bound, in.data, in.size);
    if (ZSTD_isError(n)) {
        return code_of(n);
    }
    out->size += n;
    return FB_OK;
}

static fb_code pack_once(buf *out, fb_text in, int level)
{
    FB_REQUIRE(out != NULL && (in.data != NULL || in.size == 0));
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    if (ctx == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code code = pack_with(ctx, out, in, level);
    ZSTD_freeCCtx(ctx);
    return code;
}

fb_code pack_put(buf *out, fb_text in)
{
    return pack_once(out, in, PACK_LEVEL);
}

fb_code pack_put_small(buf *out, fb_text in)
{
    return pack_once(out, in, PACK_LEVEL_SMALL);
}

/* How much room to make at once: the announced size if it is within the rest, else a step. */
static size_t room_first(fb_text in, size_t rest)
{
    unsigned long long announced = ZSTD_getFrameContentSize(in.data, in.size);
    bool known = announced != ZSTD_CONTENTSIZE_UNKNOWN && announced != ZSTD_CONTENTSIZE_ERROR;
    /* An announced size is only a claim: a small body may not make us take megabytes at once. */
    size_t believed = in.size < SIZE_MAX / 32 ? in.size * 32 + PACK_STEP_BYTES : SIZE_MAX;
    size_t room = known && announced < believed ? (size_t)announced : PACK_STEP_BYTES;
    return room < rest ? room : rest;
}

/* Unpacks the whole frame behind `out`; `rest` bytes at most. */
static fb_code unpack(ZSTD_DCtx *ctx, buf *out, fb_text in, size_t rest)
{
    ZSTD_inBuffer from = {in.data, in.size, 0};
    size_t room = room_first(in, rest);
    for (;;) {
        char *to = buf_reserve(out, room);
        if (to == NULL) {
            return out->code;
        }
        ZSTD_outBuffer into = {to, room, 0};
        size_t hint = ZSTD_decompressStream(ctx, &into, &from);
        if (ZSTD_isError(hint)) {
            return code_of(hint);
        }
        out->size += into.pos;
        rest -= into.pos;
        if (hint == 0) { /* the frame is complete: nothing may follow */
            return from.pos == from.size ? FB_OK : FB_E_PROTOCOL;
        }
        if (into.pos < into.size) { /* there was room: zstd stopped where the input ends */
            return FB_E_PROTOCOL;   /* cut short */
        }
        if (rest == 0 && into.pos == 0) {
            return FB_E_LIMIT;
        }
        room = rest < PACK_STEP_BYTES ? rest : PACK_STEP_BYTES;
    }
}

/* What can be said before any memory is taken. */
static fb_code frame_check(fb_text in, size_t max_bytes)
{
    if (in.size == 0) {
        return FB_E_PROTOCOL;
    }
    unsigned long long announced = ZSTD_getFrameContentSize(in.data, in.size);
    if (announced == ZSTD_CONTENTSIZE_ERROR) {
        return FB_E_PROTOCOL;
    }
    return announced != ZSTD_CONTENTSIZE_UNKNOWN && announced > max_bytes ? FB_E_LIMIT : FB_OK;
}

static fb_code unpack_with(ZSTD_DCtx *ctx, buf *out, fb_text in, size_t max_bytes)
{
    (void)ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, PACK_WINDOW_LOG_MAX);
    size_t before = out->size;
    fb_code code = unpack(ctx, out, in, max_bytes);
    if (code != FB_OK) {
        out->size = before;
    }
    return code;
}

fb_code pack_get(buf *out, fb_text in, size_t max_bytes)
{
    FB_REQUIRE(out != NULL && (in.data != NULL || in.size == 0));
    FB_TRY(frame_check(in, max_bytes));
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (ctx == NULL) {
        return FB_E_NO_MEMORY;
    }
    fb_code code = unpack_with(ctx, out, in, max_bytes);
    ZSTD_freeDCtx(ctx);
    return code;
}

/* ---------------------------------------------------------------- kept between calls */

struct packer {
    ZSTD_CCtx *in;
    ZSTD_DCtx *out;
};

packer *packer_new(void)
{
    packer *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->in = ZSTD_createCCtx();
    p->out = ZSTD_createDCtx();
    if (p->in == NULL || p->out == NULL) {
        packer_free(p);
        return NULL;
    }
    return p;
}

void packer_free(packer *p)
{
    if (p != NULL) {
        ZSTD_freeCCtx(p->in);
        ZSTD_freeDCtx(p->out);
        free(p);
    }
}

fb_code packer_put(packer *p, buf *out, fb_text in)
{
    FB_REQUIRE(p != NULL && out != NULL && (in.data != NULL || in.size == 0));
    return pack_with(p->in, out, in, PACK_LEVEL);
}

fb_code packer_get(packer *p, buf *out, fb_text in, size_t max_bytes)
{
    FB_REQUIRE(p != NULL && out != NULL && (in.data != NULL || in.size == 0));
    FB_TRY(frame_check(in, max_bytes));
    (void)ZSTD_DCtx_reset(p->out, ZSTD_reset_session_only);
    return unpack_with(p->out, out, in, max_bytes);
}
