/* test_shelf.c - a folder of backups: every moment comes out as it was, whatever happened to the
 * files of others.
 *
 * Method: images of random pages that change, grow and shrink stand for databases, so that files
 * are small enough to flip every bit of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/posix/file.h"
#include "platform/posix/files.h"
#include "sync-server/admin/shelf.h"

#include <cmocka.h>
#undef fail

enum { PAGE = 512, PAGES_MAX = 12, MOMENTS_MAX = 24 };

typedef struct image {
    uint8_t bytes[PAGES_MAX * PAGE];
    size_t size;
    bool full; /* as it was stored */
} image;

typedef struct bench {
    char folder[64], snapshot[80];
    uint64_t random;
    image now, moments[MOMENTS_MAX + 1]; /* by number */
    int64_t count;
} bench;

static uint32_t draw(bench *b, uint32_t below)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(b->random >> 33) % below;
}

static void page_fill(bench *b, uint32_t page)
{
    for (uint32_t i = 0; i < PAGE; i++) {
        b->now.bytes[page * PAGE + i] = (uint8_t)draw(b, 256);
    }
    b->now.bytes[16] = PAGE >> 8; /* as SQLite says its page size */
    b->now.bytes[17] = PAGE & 255;
}

static void image_change(bench *b)
{
    uint32_t before = (uint32_t)(b->now.size / PAGE), after = 1 + draw(b, PAGES_MAX);
    for (uint32_t i = before; i < after; i++) {
        page_fill(b, i);
    }
    b->now.size = (size_t)after * PAGE;
    page_fill(b, draw(b, after));
}

static void shelf_must(fb_code rc, const fb_error *err)
{
    if (rc != FB_OK) {
        print_error("%s: %s: %s\n", fb_code_name(rc), err->field, err->message);
    }
    assert_int_equal(rc, FB_OK);
}

static void moment_add(bench *b, bool full)
{
    fb_error err = {0};
    shelf c;
    shelf_new n = {.snapshot = b->snapshot, .full = full};
    image_change(b);
    n.head.commit = 10 * (b->count + 1);
    n.head.at_ms = 1000 * (b->count + 1);
    n.head.epoch.b[0] = 1;
    shelf_must(
        file_replace(b->snapshot, (fb_text){(const char *)b->now.bytes, b->now.size}, true, &err),
        &err);
    shelf_must(shelf_open(fb_files_posix(), b->folder, &c, &err), &err);
    shelf_must(shelf_add(&c, &n, &err), &err);
    shelf_close(&c);
    b->count++;
    assert_int_equal(n.head.number, b->count);
    b->moments[b->count] = b->now;
    b->moments[b->count].full = n.head.full;
}

static int setup(void **state)
{
    static bench b;
    memset(&b, 0, sizeof b);
    b.random = 7;
    snprintf(b.folder, sizeof b.folder, "/tmp/fb-shelf-XXXXXX");
    assert_non_null(mkdtemp(b.folder));
    snprintf(b.snapshot, sizeof b.snapshot, "%s/.snapshot", b.folder);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    char line[100];
    snprintf(line, sizeof line, "rm -rf %s", b->folder);
    return system(line);
}

typedef struct seen {
    const image *wanted;
    size_t size;
    bool same;
} seen;

static fb_code page_compare(void *ctx, int64_t number, const uint8_t *page, uint32_t bytes)
{
    seen *s = ctx;
    assert_int_equal(bytes, PAGE);
    assert_int_equal(s->size, (size_t)(number - 1) * PAGE);
    s->same &=
        s->size + bytes <= s->wanted->size && memcmp(s->wanted->bytes + s->size, page, bytes) == 0;
    s->size += bytes;
    return FB_OK;
}

/* FB_OK: it came out, and it is the one that stood there. */
static fb_code moment_check(const bench *b, shelf *c, uint32_t index)
{
    fb_error err = {0};
    seen s = {.wanted = &b->moments[c->points[index].number], .same = true};
    fb_code rc = shelf_image(c, index, page_compare, &s, &err);
    if (rc == FB_OK) {
        assert_true(s.same);
        assert_int_equal(s.size, s.wanted->size);
    } else {
        assert_int_equal(rc, FB_E_CORRUPT);
        assert_true(err.message[0] != '\0');
    }
    return rc;
}

/* Every moment but those from..to comes out. */
static void all_but(const bench *b, int64_t from, int64_t to)
{
    fb_error err = {0};
    shelf c;
    shelf_must(shelf_open(fb_files_posix(), b->folder, &c, &err), &err);
    for (uint32_t i = 0; i < c.count; i++) {
        int64_t number = c.points[i].number;
        bool spoilt = number >= from && number <= to;
        assert_int_equal(moment_check(b, &c, i), spoilt ? FB_E_CORRUPT : FB_OK);
    }
    shelf_close(&c);
}

static int64_t last_of(const bench *b, int64_t number)
{
    while (number < b->count && !b->moments[number + 1].full) {
        number++;
    }
    return number;
}

static void path_put(const bench *b, int64_t number, char out[SHELF_NAME_BYTES])
{
    shelf_point_path(b->folder, number, b->moments[number].full, out);
}

static void every_moment_comes_out(void **state)
{
    bench *b = *state;
    for (int i = 0; i < MOMENTS_MAX; i++) {
        moment_add(b, i % 9 == 8);
        all_but(b, 0, 0);
    }
    assert_true(b->moments[1].full && !b->moments[2].full && b->moments[9].full);
}

/* SHF-2: one flipped bit anywhere spoils that moment and those that stand on it, and no other. */
static void one_flipped_bit_anywhere_is_noticed(void **state)
{
    bench *b = *state;
    char path[SHELF_NAME_BYTES];
    buf whole;
    for (int i = 0; i < 4; i++) {
        moment_add(b, i == 3);
    }
    for (int64_t n = 1; n <= 4; n++) {
        path_put(b, n, path);
        buf_init(&whole, 1 << 20);
        assert_int_equal(file_get(path, &whole, NULL), FB_OK);
        for (size_t at = 0; at < whole.size; at++) {
            int bit = (int)draw(b, 8);
            FILE *f = fopen(path, "r+b");
            assert_non_null(f);
            assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
            fputc((uint8_t)whole.data[at] ^ 1 << bit, f);
            assert_int_equal(fclose(f), 0);
            all_but(b, n, last_of(b, n));
            f = fopen(path, "r+b");
            assert_non_null(f);
            assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
            fputc((uint8_t)whole.data[at], f);
            assert_int_equal(fclose(f), 0);
        }
        buf_clear(&whole);
    }
    all_but(b, 0, 0);
}

static void cut_missing_and_exchanged_files_are_noticed(void **state)
{
    bench *b = *state;
    char path[SHELF_NAME_BYTES], other[SHELF_NAME_BYTES], aside[SHELF_NAME_BYTES];
    for (int i = 0; i < 5; i++) {
        moment_add(b, i == 3);
    }
    path_put(b, 2, path);
    path_put(b, 3, other);
    snprintf(aside, sizeof aside, "%.4000s/aside", b->folder);
    buf whole;
    buf_init(&whole, 1 << 20);
    assert_int_equal(file_get(path, &whole, NULL), FB_OK);
    for (size_t size = 0; size < whole.size; size += 97) {
        shelf_must(file_replace(path, (fb_text){whole.data, size}, true, NULL), NULL);
        all_but(b, 2, 3);
    }
    shelf_must(file_replace(path, buf_text(&whole), true, NULL), NULL);
    buf_clear(&whole);
    assert_int_equal(rename(path, aside), 0);
    all_but(b, 3, 3);
    assert_int_equal(rename(other, path), 0); /* 3 in the place of 2 */
    all_but(b, 2, 2);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(rename(aside, path), 0);
    all_but(b, 0, 0);
}

/* The same numbers, made from another beginning. */
static void file_of_another_folder_is_noticed(void **state)
{
    bench *b = *state;
    static bench strange;
    char here[SHELF_NAME_BYTES], there[SHELF_NAME_BYTES];
    for (int i = 0; i < 3; i++) {
        moment_add(b, false);
    }
    strange = *b;
    strange.count = 0;
    snprintf(strange.folder, sizeof strange.folder, "%s.other", b->folder);
    assert_int_equal(mkdir(strange.folder, 0700), 0);
    for (int i = 0; i < 2; i++) {
        moment_add(&strange, false);
    }
    path_put(b, 2, here);
    path_put(&strange, 2, there);
    assert_int_equal(rename(there, here), 0);
    all_but(b, 2, 3);
    path_put(&strange, 1, there);
    assert_int_equal(unlink(there), 0);
    assert_int_equal(rmdir(strange.folder), 0);
}

static void damaged_last_file_begins_a_new_full_copy(void **state)
{
    bench *b = *state;
    char path[SHELF_NAME_BYTES];
    for (int i = 0; i < 3; i++) {
        moment_add(b, false);
    }
    path_put(b, 2, path);
    assert_int_equal(truncate(path, 100), 0);
    moment_add(b, false);
    assert_true(b->moments[4].full);
    all_but(b, 2, 3);
}

static void moments_are_found_by_commit_and_time(void **state)
{
    bench *b = *state;
    fb_error err = {0};
    shelf c;
    uint32_t index = 0;
    for (int i = 0; i < 5; i++) { /* commits 10 .. 50, times 1000 .. 5000 */
        moment_add(b, false);
    }
    shelf_must(shelf_open(fb_files_posix(), b->folder, &c, &err), &err);
    for (int64_t commit = 0; commit <= 60; commit++) {
        for (int64_t at = 0; at <= 6000; at += 500) {
            int64_t wanted = commit / 10 < at / 1000 ? commit / 10 : at / 1000;
            wanted = wanted > 5 ? 5 : wanted;
            fb_code rc = shelf_find(&c, commit, at, &index, &err);
            assert_int_equal(rc, wanted == 0 ? FB_E_NOT_FOUND : FB_OK);
            assert_true(rc != FB_OK || c.points[index].number == wanted);
        }
    }
    shelf_close(&c);
    char path[SHELF_NAME_BYTES];
    path_put(b, 3, path);
    assert_int_equal(truncate(path, 60), 0);
    shelf_must(shelf_open(fb_files_posix(), b->folder, &c, &err), &err);
    assert_int_equal(shelf_find(&c, 35, INT64_MAX, &index, &err), FB_E_CORRUPT); /* it was 3 */
    assert_int_equal(shelf_find(&c, 25, INT64_MAX, &index, &err), FB_E_CORRUPT); /* perhaps 3 */
    assert_int_equal(shelf_find(&c, 40, INT64_MAX, &index, &err), FB_OK);
    assert_int_equal(shelf_find(&c, 15, INT64_MAX, &index, &err), FB_OK);
    shelf_close(&c);
}

/* A head that reads well, and says another commit: the moment asked for would be passed over. */
static void changed_head_does_not_lead_to_an_older_moment(void **state)
{
    bench *b = *state;
    fb_error err = {0};
    char path[SHELF_NAME_BYTES];
    shelf c;
    buf whole;
    uint32_t index = 0;
    for (int i = 0; i < 3; i++) {
        moment_add(b, false);
    }
    path_put(b, 2, path);
    buf_init(&whole, 1 << 20);
    assert_int_equal(file_get(path, &whole, NULL), FB_OK);
    char *commit = strstr(buf_cstr(&whole), "\"commit\":\"20\"");
    assert_non_null(commit);
    memcpy(commit, "\"commit\":\"90\"", strlen("\"commit\":\"90\""));
    shelf_must(file_replace(path, buf_text(&whole), true, NULL), NULL);
    buf_clear(&whole);
    shelf_must(shelf_open(fb_files_posix(), b->folder, &c, &err), &err);
    assert_int_equal(shelf_find(&c, 25, INT64_MAX, &index, &err), FB_E_CORRUPT);
    shelf_close(&c);
}

static void pruning_keeps_whole_chains(void **state)
{
    bench *b = *state;
    fb_error err = {0};
    for (int i = 0; i < 9; i++) { /* 1..3, 4..6, 7..9 */
        moment_add(b, i % 3 == 0);
    }
    static const struct {
        int64_t keep;
        uint32_t removed;
    } CASES[] = {{9, 0}, {7, 0}, {6, 3}, {4, 0}, {3, 3}, {1, 0}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint32_t removed = 0;
        shelf c;
        shelf_must(shelf_open(fb_files_posix(), b->folder, &c, &err), &err);
        shelf_must(shelf_prune(&c, CASES[i].keep, &removed, &err), &err);
        assert_int_equal(removed, CASES[i].removed);
        shelf_close(&c);
        all_but(b, 0, 0);
    }
}

/* --- the power goes while chains are removed ---------------------------------------------------
 */

enum { GONE_MAX = 8 };

/* The folder's files; names that are gone and may be back after a power loss, since no sync of the
 * folder came after them. */
typedef struct unsure {
    fb_files port;
    const bench *b;
    char gone[GONE_MAX][SHELF_NAME_BYTES];
    uint32_t count, looks;
} unsure;

static void copy_is(const char *from, const char *to)
{
    buf whole;
    buf_init(&whole, 1 << 20);
    assert_int_equal(file_get(from, &whole, NULL), FB_OK);
    shelf_must(file_replace(to, buf_text(&whole), true, NULL), NULL);
    buf_clear(&whole);
}

static void kept_name(const char *path, char out[SHELF_NAME_BYTES])
{
    snprintf(out, SHELF_NAME_BYTES, "%.4000s.kept", path);
}

/* Whichever of them came back: no moment stands without what it is made from. */
static void power_lost(unsure *u)
{
    char kept[SHELF_NAME_BYTES];
    for (uint32_t back = 0; back < 1u << u->count; back++) {
        fb_error err = {0};
        shelf c;
        for (uint32_t i = 0; i < u->count; i++) {
            kept_name(u->gone[i], kept);
            if ((back >> i & 1) != 0) {
                copy_is(kept, u->gone[i]);
            }
        }
        shelf_must(shelf_open(fb_files_posix(), u->b->folder, &c, &err), &err);
        shelf_judge(&c, 0, c.count - 1);
        for (uint32_t i = 0; i < c.count; i++) {
            if (!c.points[i].good) {
                print_error("moment %lld: %s\n", (long long)c.points[i].number, c.points[i].why);
            }
            assert_true(c.points[i].good);
        }
        shelf_close(&c);
        for (uint32_t i = 0; i < u->count; i++) {
            (void)unlink(u->gone[i]);
        }
        u->looks++;
    }
}

static fb_code unsure_remove(void *ctx, const char *path)
{
    unsure *u = ctx;
    char kept[SHELF_NAME_BYTES];
    if (access(path, F_OK) != 0) {
        return FB_OK;
    }
    assert_true(u->count < GONE_MAX);
    kept_name(path, kept);
    copy_is(path, kept);
    snprintf(u->gone[u->count++], SHELF_NAME_BYTES, "%s", path);
    assert_int_equal(unlink(path), 0);
    power_lost(u);
    return FB_OK;
}

/* It may be lost itself until its folder is synced, which ends what was not sure before it. */
static fb_code unsure_rename(void *ctx, const char *from, const char *to)
{
    unsure *u = ctx;
    FB_TRY(unsure_remove(u, from));
    char kept[SHELF_NAME_BYTES];
    kept_name(from, kept);
    copy_is(kept, to);
    u->count = 0;
    power_lost(u);
    return FB_OK;
}

static void pruning_can_be_cut_short_by_a_power_loss(void **state)
{
    bench *b = *state;
    fb_error err = {0};
    uint32_t removed = 0;
    shelf c;
    unsure u = {.port = *fb_files_posix(), .b = b};
    u.port.ctx = &u;
    u.port.remove = unsure_remove;
    u.port.rename = unsure_rename;
    for (int i = 0; i < 9; i++) { /* 1..4, 5..8, 9 */
        moment_add(b, i % 4 == 0);
    }
    shelf_must(shelf_open(&u.port, b->folder, &c, &err), &err);
    shelf_must(shelf_prune(&c, 1, &removed, &err), &err);
    shelf_close(&c);
    assert_int_equal(removed, 8);
    assert_true(u.looks >= 16);
}

static void moment_is_written_whole_or_not_at_all(void **state)
{
    bench *b = *state;
    fb_error err = {0};
    shelf c;
    char to[SHELF_NAME_BYTES], path[SHELF_NAME_BYTES];
    moment_add(b, false);
    moment_add(b, false);
    snprintf(to, sizeof to, "%.4000s/out.db", b->folder);
    shelf_must(shelf_open(fb_files_posix(), b->folder, &c, &err), &err);
    shelf_must(shelf_write_image(&c, 1, to, &err), &err);
    assert_int_equal(shelf_write_image(&c, 1, to, &err), FB_E_EXISTS);
    shelf_close(&c);
    buf got;
    buf_init(&got, 1 << 20);
    assert_int_equal(file_get(to, &got, NULL), FB_OK);
    assert_int_equal(got.size, b->now.size);
    assert_memory_equal(got.data, b->now.bytes, got.size);
    buf_clear(&got);
    assert_int_equal(unlink(to), 0);
    path_put(b, 1, path);
    assert_int_equal(truncate(path, 700), 0);
    shelf_must(shelf_open(fb_files_posix(), b->folder, &c, &err), &err);
    assert_int_equal(shelf_write_image(&c, 1, to, &err), FB_E_CORRUPT);
    assert_int_equal(access(to, F_OK), -1);
    shelf_close(&c);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_moment_comes_out),
        CASE(one_flipped_bit_anywhere_is_noticed),
        CASE(cut_missing_and_exchanged_files_are_noticed),
        CASE(file_of_another_folder_is_noticed),
        CASE(changed_head_does_not_lead_to_an_older_moment),
        CASE(damaged_last_file_begins_a_new_full_copy),
        CASE(moments_are_found_by_commit_and_time),
        CASE(pruning_keeps_whole_chains),
        CASE(pruning_can_be_cut_short_by_a_power_loss),
        CASE(moment_is_written_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("shelf", tests, NULL, NULL);
}
