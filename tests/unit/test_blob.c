/* test_blob.c - the parts of the attachment lane alone: digests piece by piece, files named by
 * hash, files of this machine, the lane's machine, messages that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blob_file.h"
#include "base/check.h"
#include "platform/posix/files.h"
#include "support/mem_files.h"
#include "sync/lane.h"
#include "wire/blob_msg.h"

#include <cmocka.h>

static void digest__pieces_give_the_same_as_the_whole(void **state)
{
    char data[300];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (char)(i * 31);
    }
    for (size_t size = 0; size < sizeof data; size++) {
        for (size_t piece = 1; piece < 130; piece += 21) {
            digest whole, pieces;
            digest_run run;
            digest_of(data, size, &whole);
            digest_begin(&run);
            for (size_t at = 0; at < size; at += piece) {
                digest_add(&run, data + at, size - at < piece ? size - at : piece);
            }
            digest_end(&run, &pieces);
            assert_memory_equal(whole.b, pieces.b, sizeof whole.b);
        }
    }
}

static void names__only_hashes_become_paths(void **state)
{
    char name[BLOB_NAME_BYTES + 1];
    digest d, back;
    (void)state;
    digest_of("x", 1, &d);
    blob_name_put(&d, name);
    assert_true(blob_name_get(text_of(name), &back));
    assert_memory_equal(d.b, back.b, sizeof d.b);
    name[3] = '/';
    assert_false(blob_name_get(text_of(name), &back));
    name[3] = 'A';
    assert_false(blob_name_get(text_of(name), &back));
    assert_false(blob_name_get(text_of("../../etc/passwd"), &back));
    assert_false(blob_name_get((fb_text){NULL, 0}, &back));
}

/* The same for the files in memory and those of this machine. */
static void walk_files(const fb_files *f, const char *root)
{
    char path[300], other[300], room[16];
    size_t got = 0;
    int64_t size = -1;
    assert_int_equal(f->folder(f->ctx, root), FB_OK);
    assert_int_equal(f->folder(f->ctx, root), FB_OK);
    snprintf(path, sizeof path, "%s/a", root);
    snprintf(other, sizeof other, "%s/b", root);
    assert_int_equal(f->size(f->ctx, path, &size), FB_E_NOT_FOUND);
    assert_int_equal(f->read(f->ctx, path, 0, room, 4, &got), FB_E_NOT_FOUND);
    assert_int_equal(f->write(f->ctx, path, 0, text_of("hello"), true), FB_OK);
    assert_int_equal(f->write(f->ctx, path, 5, text_of(" world"), true), FB_OK);
    assert_int_equal(f->size(f->ctx, path, &size), FB_OK);
    assert_int_equal(size, 11);
    assert_int_equal(f->write(f->ctx, path, 12, text_of("gap"), true), FB_E_IO);
    assert_int_equal(f->write(f->ctx, path, 4, text_of("!"), true), FB_OK); /* cuts behind */
    assert_int_equal(f->read(f->ctx, path, 3, room, sizeof room, &got), FB_OK);
    assert_int_equal(got, 2);
    assert_memory_equal(room, "l!", 2);
    assert_int_equal(f->read(f->ctx, path, 50, room, sizeof room, &got), FB_OK);
    assert_int_equal(got, 0);
    assert_int_equal(f->rename(f->ctx, path, other), FB_OK);
    assert_int_equal(f->size(f->ctx, path, &size), FB_E_NOT_FOUND);
    assert_int_equal(f->remove(f->ctx, other), FB_OK);
    assert_int_equal(f->remove(f->ctx, other), FB_OK);
    assert_int_equal(f->free_bytes(f->ctx, root, &size), FB_OK);
    assert_true(size > 0);
}

static fb_code count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
    return FB_OK;
}

static void files__of_this_machine_keep_the_contract(void **state)
{
    char root[] = "/tmp/fb-files-XXXXXX", below[64], path[80], link_name[80];
    int count = 0;
    struct stat st;
    const fb_files *f = fb_files_posix();
    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(below, sizeof below, "%s/x", root);
    walk_files(f, below);
    snprintf(path, sizeof path, "%s/f", below);
    snprintf(link_name, sizeof link_name, "%s/l", below);
    assert_int_equal(f->write(f->ctx, path, 0, text_of("secret"), true), FB_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(below, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(symlink(path, link_name), 0); /* FLS-2 */
    assert_int_not_equal(f->write(f->ctx, link_name, 0, text_of("x"), false), FB_OK);
    assert_int_equal(f->each(f->ctx, below, count_name, &count), FB_OK);
    assert_int_equal(count, 2);
    assert_int_equal(f->each(f->ctx, "/tmp/fb-files-none", count_name, &count), FB_OK);
    (void)unlink(link_name);
    (void)unlink(path);
    (void)rmdir(below);
    (void)rmdir(root);
}

static void files__in_memory_keep_the_contract(void **state)
{
    mem_files *m = mem_files_new(3);
    (void)state;
    walk_files(mem_files_port(m), "dev/x");
    mem_files_free(m);
}

static void blob_file__wrong_bytes_never_get_the_name(void **state)
{
    mem_files *m = mem_files_new(1);
    const fb_files *f = mem_files_port(m);
    digest good;
    int64_t size = 0;
    (void)state;
    digest_of("photo", 5, &good);
    assert_int_equal(f->write(f->ctx, "d/part", 0, text_of("phoTo"), true), FB_OK);
    assert_int_equal(blob_file_finish(f, "d/part", "d/name", &good, 5), FB_E_CORRUPT);
    assert_int_equal(f->size(f->ctx, "d/part", &size), FB_E_NOT_FOUND); /* BLB-2 */
    assert_int_equal(f->size(f->ctx, "d/name", &size), FB_E_NOT_FOUND);
    assert_int_equal(f->write(f->ctx, "d/part", 0, text_of("photo"), true), FB_OK);
    assert_int_equal(blob_file_finish(f, "d/part", "d/name", &good, 6), FB_E_CORRUPT);
    assert_int_equal(f->write(f->ctx, "d/part", 0, text_of("photo"), true), FB_OK);
    assert_int_equal(blob_file_finish(f, "d/part", "d/name", &good, 5), FB_OK);
    assert_int_equal(blob_file_check(f, "d/name", &good, 5), FB_OK);
    assert_true(mem_files_flip(m, "d/name", 2));
    assert_int_equal(blob_file_check(f, "d/name", &good, 5), FB_E_CORRUPT);
    mem_files_free(m);
}

static void lane__pieces_grow_and_shrink_within_bounds(void **state)
{
    lane_machine l;
    session_action action;
    (void)state;
    lane_init(&l, 0);
    assert_int_equal(l.piece_bytes, LANE_PIECE_BYTES_FIRST);
    assert_int_equal(lane_step(&l, EV_START, 0, 0, &action), FB_OK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(lane_step(&l, EV_MORE, 0, 0, &action), FB_OK);
    }
    assert_int_equal(l.piece_bytes, LANE_PIECE_BYTES_MAX);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(lane_step(&l, EV_LATER, 0, 5, &action), FB_OK);
        assert_int_equal(action, ACT_SET_TIMER);
        assert_int_equal(lane_step(&l, EV_TIMER, 5, 0, &action), FB_OK);
    }
    assert_int_equal(l.piece_bytes, LANE_PIECE_BYTES_MIN);
    assert_int_equal(lane_step(&l, EV_TIMER, 0, 0, &action), FB_E_MISUSE);
    lane_init(&l, 1);
    assert_int_equal(l.piece_bytes, LANE_PIECE_BYTES_MIN);
    lane_init(&l, UINT32_MAX);
    assert_int_equal(l.piece_bytes_max, BLOB_CHUNK_BYTES_MAX);
}

static void lane__metered_rules(void **state)
{
    (void)state;
    blob_rules r = lane_rules(false, LANE_METERED_NOTHING);
    assert_true(r.thumbs && r.originals);
    r = lane_rules(true, LANE_METERED_NOTHING);
    assert_false(r.thumbs || r.originals);
    r = lane_rules(true, LANE_METERED_THUMBS);
    assert_true(r.thumbs && !r.originals);
    r = lane_rules(true, LANE_METERED_ALL);
    assert_true(r.thumbs && r.originals);
}

static fb_code put_of(arena *scratch, const char *line, const char *bytes)
{
    char body[512];
    blob_put m;
    arena_reset(scratch);
    snprintf(body, sizeof body, "{\"m\":\"put\",\"v\":1,\"h\":\"%064d\",%s}\n%s", 7, line, bytes);
    return blob_put_get(text_of(body), scratch, &m);
}

static void messages__pieces_hold_what_they_promise(void **state)
{
    arena *scratch = arena_new(1 << 20);
    (void)state;
    assert_int_equal(put_of(scratch, "\"size\":\"5\",\"n\":5", "12345"), FB_OK);
    assert_int_equal(put_of(scratch, "\"size\":\"9\",\"at\":\"4\",\"n\":5", "12345"), FB_OK);
    assert_int_equal(put_of(scratch, "\"size\":\"5\",\"n\":5", "1234"), FB_E_TRUNCATED);
    assert_int_equal(put_of(scratch, "\"size\":\"5\",\"n\":5", "123456"), FB_E_PROTOCOL);
    assert_int_equal(put_of(scratch, "\"size\":\"5\",\"at\":\"1\",\"n\":5", "12345"),
                     FB_E_PROTOCOL);
    assert_int_equal(put_of(scratch, "\"size\":\"5\",\"at\":\"6\",\"n\":0", ""), FB_E_PROTOCOL);
    assert_int_equal(put_of(scratch, "\"size\":\"0\",\"n\":0", ""), FB_E_PROTOCOL);
    assert_int_equal(put_of(scratch, "\"size\":\"-5\",\"n\":5", "12345"), FB_E_PROTOCOL);
    assert_int_equal(put_of(scratch, "\"size\":\"9223372036854775807\",\"n\":5", "12345"),
                     FB_E_LIMIT);
    assert_int_equal(put_of(scratch, "\"size\":\"9\",\"n\":4294967295", "12345"), FB_E_LIMIT);
    blob_put m;
    assert_int_equal(blob_put_get(text_of("{\"m\":\"put\""), scratch, &m), FB_E_TRUNCATED);
    assert_int_equal(blob_put_get((fb_text){NULL, 0}, scratch, &m), FB_E_TRUNCATED);
    arena_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest__pieces_give_the_same_as_the_whole),
        cmocka_unit_test(names__only_hashes_become_paths),
        cmocka_unit_test(files__of_this_machine_keep_the_contract),
        cmocka_unit_test(files__in_memory_keep_the_contract),
        cmocka_unit_test(blob_file__wrong_bytes_never_get_the_name),
        cmocka_unit_test(lane__pieces_grow_and_shrink_within_bounds),
        cmocka_unit_test(lane__metered_rules),
        cmocka_unit_test(messages__pieces_hold_what_they_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
