/* target_page.c - a reply from the server, taken by a replica that has groups of every state.
 *
 * A refused reply changes nothing that a person can see; after an accepted one every promise of the
 * replica holds (OUT-1 to OUT-4, PRO-1 to PRO-3). The replica begins anew after each accepted one.
 */
#include "support/lab.h"

#include "fuzz.h"
#include "schema/limits.h"
#include "support/crash_vfs.h"

static crash_vfs *files;
static lab device;

static void reopen(void)
{
    fb_error err = {.code = FB_OK};
    device.wall_ms = LAB_WALL_MS;
    MUST_OK(lab_open(&device, &err));
    lab_find_columns(&device);
}

/* Groups 1 and 2 applied, 3 rejected, 4 held, 5 to 7 not answered yet, one page staged. */
static void work(void)
{
    buf out;
    for (unsigned i = 1; i <= 4; i++) {
        (void)lab_save(&device, i, "sent", i);
    }
    reply_begin(&device, &out, 4, 1, 5);
    verdict_run_put(&out, 1, 2, 2);
    reply_verdict(&out, 3, VERDICT_REJECTED, false);
    reply_verdict(&out, 4, VERDICT_HELD, false);
    reply_page(&out, "0.5", true, false);
    reply_row(&device, &out, 9, "nine", NULL, 9, 3 << 20);
    (void)reply_take(&device, &out);
    (void)lab_save(&device, 5, "waits", 5);
    (void)lab_change(&device, 9, device.note, "mine");
    (void)lab_change(&device, 1, device.name, "renamed");
    reply_begin(&device, &out, 4, 1, 6);
    reply_page(&out, "0.6", false, false);
    reply_row(&device, &out, 10, "ten", "staged", 10, 4 << 20);
    (void)reply_take(&device, &out);
}

void fuzz_open(void)
{
    fb_error err = {.code = FB_OK};
    files = crash_vfs_new("fuzzfs", 1);
    MUST(files != NULL);
    lab_init(&device, "dev/l.db", "fuzzfs", 1);
    MUST_OK(lab_open(&device, &err));
    lab_enrol(&device);
    lab_first_sync(&device);
    work();
    lab_close(&device);
    crash_vfs_copy(files, "dev", "clean");
    reopen();
}

static void check(void)
{
    fb_error err = {.code = FB_OK};
    if (replica_check(device.r, &err) != FB_OK) {
        fprintf(stderr, "%s: %s: %s\n", fb_code_name(err.code), err.field, err.message);
        fuzz_failed("every promise of the replica", __FILE__, __LINE__);
    }
}

void fuzz_finish(void)
{
    check();
    lab_close(&device);
    crash_vfs_free(files);
}

typedef struct visible {
    int64_t stamp;
    outbox_state outbox;
    buf token;
} visible;

static visible look(void)
{
    visible v;
    memset(&v, 0, sizeof v);
    buf_init(&v.token, 1 << 16);
    v.stamp = replica_stamp(device.r);
    MUST_OK(outbox_state_get(device.r, &v.outbox));
    MUST_OK(stage_token(device.r, &v.token));
    return v;
}

static bool same_visible(const visible *a, const visible *b)
{
    /* A stamp may grow for nothing: a screen is drawn once more. */
    return a->stamp <= b->stamp && memcmp(&a->outbox, &b->outbox, sizeof a->outbox) == 0 &&
           text_equal(buf_text(&a->token), buf_text(&b->token));
}

void fuzz_run(fb_text in)
{
    static unsigned refused;
    stage_result result = {.complete = false};
    fb_error err = {.code = FB_OK};
    visible before = look();
    fb_code rc = stage_reply(device.r, in, device.wall_ms, &result, &err);
    MUST(rc != FB_E_BUG && rc != FB_E_MISUSE && rc != FB_E_CORRUPT && rc != FB_E_IO);
    visible after = look();
    MUST(rc == FB_OK || same_visible(&before, &after));
    if (rc == FB_OK || ++refused % 256 == 0) {
        check();
    }
    if (rc == FB_OK) {
        lab_close(&device);
        crash_vfs_copy(files, "clean", "dev");
        reopen();
    }
    buf_clear(&before.token);
    buf_clear(&after.token);
}

static void seed_end(buf *out)
{
    sync_end_put(out);
    seed_put(buf_text(out));
    buf_clear(out);
}

static void seed_pages(void)
{
    buf out;
    reply_begin(&device, &out, 7, 4, 9);
    verdict_run_put(&out, 5, 5, 7);
    reply_verdict(&out, 6, VERDICT_MERGED, true);
    reply_verdict(&out, 7, VERDICT_BLOCKED, false);
    reply_page(&out, "0.9", true, false);
    reply_row(&device, &out, 9, "nine", "theirs", 8, 8 << 20);
    reply_gone(&device, &out, BLOCK_LEAVE, 2);
    reply_gone(&device, &out, BLOCK_DELETE, 10);
    seed_end(&out);
    reply_begin(&device, &out, 5, 4, 9);
    reply_verdict(&out, 5, VERDICT_ALIAS, true);
    reply_page(&out, "0.9", true, true);
    reply_rights(&device, &out);
    reply_row(&device, &out, 1, "one", NULL, 1, 8 << 20);
    seed_end(&out);
    reply_begin(&device, &out, 4, 4, 9);
    reply_verdict(&out, 4, VERDICT_APPLIED, true);
    reply_page(&out, "", false, true);
    seed_end(&out);
}

void fuzz_seeds(void)
{
    buf out;
    seed_pages();
    reply_begin(&device, &out, 4, 4, 4);
    seed_end(&out);
    device.epoch = lab_id(0xE00002);
    reply_begin(&device, &out, 0, 0, 1);
    reply_page(&out, "1.1", true, true);
    reply_rights(&device, &out);
    seed_end(&out);
    device.epoch = lab_id(0xE00001);
    buf_init(&out, PAGE_BYTES_MAX);
    buf_put_str(&out, "{\"m\":\"sync\",\"v\":2}\n{\"m\":\"ok\",\"g\":\"5\",\"cid\":\"7\"}\n");
    seed_end(&out);
}
