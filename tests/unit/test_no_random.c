/* test_no_random.c - a machine that has no random bytes to give: whatever needs some says so, and
 * what was saved is what it was; afterwards the same call succeeds. */
#include <unistd.h>

#include "replica/blob.h"
#include "support/lab.h"
#include "support/mem_files.h"

#define DB lab_path("no_random")

static fb_code nothing(void *ctx, void *out, size_t size)
{
    (void)ctx;
    memset(out, 0, size);
    return FB_E_IO;
}

typedef fb_code (*deed)(lab *l, fb_error *err);

static fb_code open_again(lab *l, fb_error *err)
{
    lab_close(l);
    return lab_open(l, err);
}

/* The second copy has everything. */
static fb_code open_after_loss(lab *l, fb_error *err)
{
    lab_close(l);
    (void)unlink(l->path);
    return lab_open(l, err);
}

static fb_code live_again(lab *l, fb_error *err)
{
    return replica_rebirth(l->r, err);
}

static fb_code take_photo(lab *l, fb_error *err)
{
    digest hash;
    lab_begin(l, "lab.save");
    fb_code rc = blob_add_bytes(l->r, T("a photo"), false, &hash, err);
    capture_abort(l->r);
    return rc;
}

static const struct {
    const char *why;
    deed play;
} DEEDS[] = {{"open", open_again},
             {"open a file that is lost", open_after_loss},
             {"a new life", live_again},
             {"a photo", take_photo}};

static void no_random__is_told_and_nothing_is_lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof DEEDS / sizeof DEEDS[0]; i++) {
        lab l;
        fb_error err = {.code = FB_OK};
        mem_files *files = mem_files_new(1);
        lab_start(&l, DB, 6);
        l.files = mem_files_port(files);
        lab_save(&l, 1, "one", 1);
        lab_save(&l, 2, "two", 2);
        lab_reopen(&l);
        const fb_port sound = l.port;
        l.port.random = nothing;
        fb_code rc = DEEDS[i].play(&l, &err);
        if (rc != FB_E_IO) {
            fail_msg("%s: %s %s", DEEDS[i].why, fb_code_name(rc), err.message);
        }
        l.port = sound;
        rc = DEEDS[i].play(&l, &err);
        if (rc != FB_OK) {
            fail_msg("%s, then: %s %s", DEEDS[i].why, fb_code_name(rc), err.message);
        }
        assert_int_equal(lab_count(&l, "SELECT count(*) FROM fb_outbox WHERE state=0"), 2);
        lab_check(&l);
        lab_stop(&l);
        mem_files_free(files);
    }
}

static void no_random__no_new_file_is_called_one(void **state)
{
    lab l;
    fb_error err = {.code = FB_OK};
    (void)state;
    lab_init(&l, DB, NULL, 6);
    const fb_port sound = l.port;
    l.port.random = nothing;
    assert_int_equal(lab_open(&l, &err), FB_E_IO);
    assert_null(l.r);
    l.port = sound;
    assert_int_equal(lab_open(&l, &err), FB_OK);
    lab_enrol(&l);
    lab_first_sync(&l);
    lab_check(&l);
    lab_stop(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_random__is_told_and_nothing_is_lost),
        cmocka_unit_test(no_random__no_new_file_is_called_one),
    };
    return cmocka_run_group_tests_name("no_random", tests, NULL, NULL);
}
