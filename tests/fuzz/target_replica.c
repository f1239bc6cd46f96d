/* target_replica.c - a damaged database file: opening, checking and writing refuse or work.
 *
 * The input changes a whole and sound file: a byte for its length, then records of page, place,
 * count and bytes. A place counts from the page's beginning or end, because that is where the
 * pages hold something. Nothing may crash, and no failure may be called a bug or be nameless. */
#include "support/lab.h"

#include "api/handle.h"
#include "fuzz.h"
#include "support/crash_vfs.h"

enum { PAGE_BYTES = 4096 };
static crash_vfs *files;
static lab device;
static buf image;

static void take_image(void *ctx, const char *file, const void *data, size_t size)
{
    (void)ctx;
    if (strcmp(file, "dev/l.db") == 0) {
        buf_put(&image, data, size);
    }
}

static void work(void)
{
    buf out;
    for (unsigned i = 1; i <= 4; i++) {
        (void)lab_save(&device, i, "sent", i);
    }
    reply_begin(&device, &out, 3, 1, 5);
    verdict_run_put(&out, 1, 1, 2);
    reply_verdict(&out, 2, VERDICT_REJECTED, false);
    reply_verdict(&out, 3, VERDICT_HELD, false);
    reply_page(&out, "0.5", true, false);
    reply_row(&device, &out, 9, "nine", NULL, 9, 3 << 20);
    (void)reply_take(&device, &out);
    (void)lab_change(&device, 9, device.note, "mine");
    reply_begin(&device, &out, 3, 1, 6);
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
    buf_init(&image, 64 << 20);
    crash_vfs_each(files, take_image, NULL);
    MUST(image.size > PAGE_BYTES && image.size % PAGE_BYTES == 0);
}

void fuzz_finish(void)
{
    buf_clear(&image);
    crash_vfs_free(files);
}

static void patch(buf *file, fb_text in)
{
    const size_t pages = file->size / PAGE_BYTES;
    while (in.size >= 6) {
        size_t page = take_number(&in, 2) % pages;
        uint32_t place = take_number(&in, 2);
        size_t within = place % PAGE_BYTES;
        size_t at = page * PAGE_BYTES + (place >> 15 != 0 ? PAGE_BYTES - 1 - within : within);
        fb_text bytes = take_bytes(&in, 1 + take_byte(&in) % 16);
        for (size_t i = 0; i < bytes.size && at + i < file->size; i++) {
            file->data[at + i] = bytes.data[i];
        }
    }
}

static void named(fb_code rc, const fb_error *err)
{
    MUST(rc != FB_E_BUG && rc != FB_E_MISUSE);
    MUST(rc == FB_OK || (err->code == rc && err->message[0] != '\0'));
}

/* What an app does with a replica it could open; each may fail, none may crash. */
static void use(fb_db *db)
{
    fb_error err = {.code = FB_OK};
    replica_status status;
    outbox_state outbox;
    replica_identity me;
    uint32_t count = 0;
    digest chain;
    buf body;
    buf_init(&body, 1 << 22);
    named(fb_db_check(db, &err), &err);
    (void)!replica_identity_get(db->r, &me);
    (void)!replica_status_get(db->r, &status);
    if (outbox_state_get(db->r, &outbox) == FB_OK) {
        (void)!outbox_read(db->r, outbox.acked + 1, 10, 1 << 16, &body, &count, &chain);
    }
    buf_clear(&body);
}

static void work_on(lab *l)
{
    buf out;
    fb_error err = {.code = FB_OK};
    stage_result result;
    fb_value value = {.kind = FB_KIND_TEXT, .u.text = T("again")};
    fb_id id = lab_id(9);
    int64_t gseq = 0;
    l->item = catalog_entity_str(replica_catalog(l->r), "lab_item");
    if (l->item == NULL || (l->name = cat_column_str(l->item, "name")) < 0) {
        return; /* another catalogue than the image's is the active one */
    }
    if (capture_begin(l->r, "lab.change", 0, 0, &err) == FB_OK) {
        if (capture_update(l->r, l->item, &id, &l->name, &value, 1, &err) == FB_OK) {
            named(capture_commit(l->r, &gseq, &err), &err);
        } else {
            capture_abort(l->r);
        }
    }
    reply_begin(l, &out, 4, 2, 9);
    reply_verdict(&out, 4, VERDICT_APPLIED, true);
    reply_page(&out, "0.9", true, false);
    sync_end_put(&out);
    named(stage_reply(l->r, buf_text(&out), l->wall_ms, &result, &err), &err);
    buf_clear(&out);
}

void fuzz_run(fb_text in)
{
    fb_db *db = NULL;
    fb_error err = {.code = FB_OK};
    fb_db_options o = FB_DB_OPTIONS_INIT;
    buf file;
    buf_init(&file, 64 << 20);
    size_t keep = take_byte(&in);
    buf_put_text(&file, buf_text(&image));
    patch(&file, in);
    if (keep > 0) {
        file.size = file.size / 256 * keep;
    }
    crash_vfs_remove(files, "dev");
    crash_vfs_put(files, "dev/l.db", file.data, file.size);
    buf_clear(&file);
    o.port = &device.port;
    o.vfs = "fuzzfs";
    o.create = false;
    fb_code rc = fb_db_open("dev/l.db", &o, &db, &err);
    named(rc, &err);
    if (rc == FB_OK) {
        use(db);
        device.r = db->r;
        work_on(&device);
        device.r = NULL;
        fb_db_close(db);
    }
}

/* A record that changes the bytes at each place where the image holds the text. */
static void seed_at(const char *text, const char *bytes)
{
    size_t size = strlen(text);
    unsigned made = 0;
    for (size_t at = 0; at + size <= image.size && made < 3; at++) {
        if (memcmp(image.data + at, text, size) == 0) {
            uint8_t record[6] = {0,
                                 (uint8_t)(at / PAGE_BYTES >> 8),
                                 (uint8_t)(at / PAGE_BYTES),
                                 (uint8_t)(at % PAGE_BYTES >> 8),
                                 (uint8_t)at,
                                 (uint8_t)(strlen(bytes) - 1)};
            buf seed;
            buf_init(&seed, 64);
            buf_put(&seed, record, sizeof record);
            buf_put_str(&seed, bytes);
            seed_put(buf_text(&seed));
            buf_clear(&seed);
            made++;
        }
    }
}

void fuzz_seeds(void)
{
    static const char *const TEXTS[] = {"{\"k\":\"lab.save\"",
                                        "{\"k\":\"lab.change\"",
                                        "epoch",
                                        "token",
                                        "settled",
                                        "incarnation",
                                        "acked",
                                        "CREATE",
                                        "not so",
                                        "0.5",
                                        "nine",
                                        "(\xb5/\xfd",
                                        "\"rejected\"",
                                        "lab_item",
                                        "{\"version\""};
    seed_put((fb_text){"\0", 1});
    seed_put((fb_text){"\200", 1});
    seed_put((fb_text){"\0\0\0\0\022\1\1\1", 8}); /* the file format's version */
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        seed_at(TEXTS[i], "]");
        seed_at(TEXTS[i], "\xff\xff\xff\xff");
    }
}
