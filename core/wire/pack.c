/* pack.c - see pack.h. One zstd frame with its checksum; anything beside it is refused. */
#include "wire/pack.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "base/check.h"

enum { PACK_LEVEL = 1, PACK_WINDOW_LOG_MAX = 24, PACK_STEP_BYTES = 64 << 10 };

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

fb_code pack_put(buf *out, fb_text in)
{
    FB_REQUIRE(out != NULL && (in.data != NULL || in.size == 0));
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    if (ctx == NULL) {
        return FB_E_NO_MEMORY;
    }
    size_t bound = ZSTD_compressBound(in.size);
    char *to = ZSTD_isError(bound) ? NULL : buf_reserve(out, bound);
    fb_code code = out->code != FB_OK ? out->code : to == NULL ? FB_E_LIMIT : FB_OK;
    if (code == FB_OK) {
        (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, PACK_LEVEL);
        (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
        size_t n = ZSTD_compress2(ctx, to, bound, in.data, in.size);
        if (ZSTD_isError(n)) {
            code = code_of(n);
        } else {
            out->size += n;
        }
    }
    ZSTD_freeCCtx(ctx);
    return code;
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
        if (into.pos < into.size && from.pos == from.size) {
            return FB_E_PROTOCOL; /* cut short */
        }
        if (rest == 0 && into.pos == 0) {
            return FB_E_LIMIT;
        }
        room = rest < PACK_STEP_BYTES ? rest : PACK_STEP_BYTES;
    }
}

fb_code pack_get(buf *out, fb_text in, size_t max_bytes)
{
    FB_REQUIRE(out != NULL && (in.data != NULL || in.size == 0));
    if (in.size == 0) {
        return FB_E_PROTOCOL;
    }
    unsigned long long announced = ZSTD_getFrameContentSize(in.data, in.size);
    if (announced == ZSTD_CONTENTSIZE_ERROR) {
        return FB_E_PROTOCOL;
    }
    if (announced != ZSTD_CONTENTSIZE_UNKNOWN && announced > max_bytes) {
        return FB_E_LIMIT;
    }
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (ctx == NULL) {
        return FB_E_NO_MEMORY;
    }
    (void)ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, PACK_WINDOW_LOG_MAX);
    size_t before = out->size;
    fb_code code = unpack(ctx, out, in, max_bytes);
    if (code != FB_OK) {
        out->size = before;
    }
    ZSTD_freeDCtx(ctx);
    return code;
}
