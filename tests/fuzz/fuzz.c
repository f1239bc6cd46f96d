/* fuzz.c - see fuzz.h: between libFuzzer and the targets. */
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *seeds_folder;
static unsigned seeds_count;

_Noreturn void fuzz_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* ---------------------------------------------------------------- seeds */

buf source_file(const char *path)
{
    char whole[512], part[4096];
    size_t n = 0;
    buf content;
    buf_init(&content, 16u << 20);
    snprintf(whole, sizeof whole, "%s/%s", FB_SOURCE_DIR, path);
    FILE *f = fopen(whole, "rb");
    MUST(f != NULL);
    while ((n = fread(part, 1, sizeof part, f)) > 0) {
        buf_put(&content, part, n);
    }
    fclose(f);
    MUST_OK(content.code);
    return content;
}

void seed_put(fb_text seed)
{
    char path[512];
    snprintf(path, sizeof path, "%s/seed-%03u", seeds_folder, seeds_count++);
    FILE *f = fopen(path, "wb");
    MUST(f != NULL);
    MUST(fwrite(seed.data, 1, seed.size, f) == seed.size);
    MUST(fclose(f) == 0);
}

static void seed_with(const char *prefix, fb_text text)
{
    buf whole;
    buf_init(&whole, 16u << 20);
    buf_put_str(&whole, prefix);
    buf_put_text(&whole, text);
    seed_put(buf_text(&whole));
    buf_clear(&whole);
}

void seed_lines(const char *prefix, const char *file)
{
    buf content = source_file(file);
    fb_text rest = buf_text(&content);
    while (rest.size > 0) {
        const char *end = memchr(rest.data, '\n', rest.size);
        size_t size = end != NULL ? (size_t)(end - rest.data) : rest.size;
        seed_with(prefix, (fb_text){rest.data, size});
        size += end != NULL;
        rest.data += size;
        rest.size -= size;
    }
    buf_clear(&content);
}

void seed_whole(const char *prefix, const char *file)
{
    buf content = source_file(file);
    seed_with(prefix, buf_text(&content));
    buf_clear(&content);
}

/* ---------------------------------------------------------------- taking an input apart */

uint8_t take_byte(fb_text *in)
{
    return (uint8_t)take_number(in, 1);
}

uint32_t take_number(fb_text *in, unsigned bytes)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < bytes; i++) {
        n <<= 8;
        if (in->size > 0) {
            n |= (uint8_t)in->data[0];
            in->data++;
            in->size--;
        }
    }
    return n;
}

fb_text take_bytes(fb_text *in, size_t size)
{
    fb_text taken = {in->data, size < in->size ? size : in->size};
    in->data += taken.size;
    in->size -= taken.size;
    return taken;
}

/* ---------------------------------------------------------------- libFuzzer */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_open();
    if (*argc == 3 && strcmp((*argv)[1], "seeds") == 0) {
        seeds_folder = (*argv)[2];
        fuzz_seeds();
        fuzz_finish();
        exit(0);
    }
    MUST(atexit(fuzz_finish) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1] = "";
    fuzz_run((fb_text){size > 0 ? (const char *)data : nothing, size});
    return 0;
}
