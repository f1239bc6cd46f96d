/* target_journal.c - a damaged second copy: it is read as far as its sums fit, never further.
 *
 * The input changes two sound segments: a byte that says which, then records of place, count and
 * bytes; a last odd byte cuts the file. What is read must be a beginning of what was written, word
 * for word; and a journal that was read can be written behind. */
#include "fuzz.h"

#include "replica/journal.h"
#include "support/crash_vfs.h"

enum { RECORDS = 6, PAYLOAD_BYTES = 40, IMAGE_BYTES_MAX = 8192 };
static const char PATH[] = "dev/j.db";
static const char *const NAMES[2] = {"dev/j.db-outbox1", "dev/j.db-outbox2"};
static crash_vfs *files;
static buf images[2];

static void payload_of(int64_t gseq, char out[PAYLOAD_BYTES])
{
    memset(out, (int)('a' + gseq), PAYLOAD_BYTES);
}

static void write_records(journal *j, int64_t from)
{
    char payload[PAYLOAD_BYTES];
    for (int64_t g = from; g < from + RECORDS; g++) {
        payload_of(g, payload);
        MUST_OK(journal_append(j, JOURNAL_GROUP, g, (fb_text){payload, PAYLOAD_BYTES}, false));
    }
}

static void take_image(void *ctx, const char *file, const void *data, size_t size)
{
    (void)ctx;
    for (int i = 0; i < 2; i++) {
        if (strcmp(file, NAMES[i]) == 0) {
            buf_put(&images[i], data, size);
        }
    }
}

void fuzz_open(void)
{
    journal j;
    files = crash_vfs_new("fuzzfs", 1);
    MUST(files != NULL);
    MUST_OK(journal_init(&j, "fuzzfs", PATH));
    MUST_OK(journal_begin(&j, 1));
    write_records(&j, 1);
    MUST_OK(journal_end(&j));
    MUST_OK(journal_begin(&j, 1));
    write_records(&j, 1); /* the same again and more, as a rewrite does */
    MUST_OK(journal_end(&j));
    write_records(&j, 1 + RECORDS);
    MUST_OK(journal_sync(&j));
    journal_clear(&j);
    for (int i = 0; i < 2; i++) {
        buf_init(&images[i], IMAGE_BYTES_MAX);
    }
    crash_vfs_each(files, take_image, NULL);
    MUST(images[0].size + images[1].size > 0);
}

void fuzz_finish(void)
{
    buf_clear(&images[0]);
    buf_clear(&images[1]);
    crash_vfs_free(files);
}

/* Damage that keeps the sums is no damage: only a whole record as it was written may come. */
static fb_code expect(void *ctx, const journal_record *record)
{
    int64_t *last = ctx;
    char payload[PAYLOAD_BYTES];
    MUST(record->gseq == *last + 1);
    *last = record->gseq;
    if (record->type == JOURNAL_CLOSED) { /* read_and_go_on's */
        MUST(record->payload.size == 0);
        return FB_OK;
    }
    MUST(record->type == JOURNAL_GROUP);
    payload_of(record->gseq, payload);
    MUST(text_equal(record->payload, (fb_text){payload, PAYLOAD_BYTES}));
    return FB_OK;
}

static void read_and_go_on(void)
{
    journal j;
    int64_t last = 0, again = 0;
    MUST_OK(journal_init(&j, "fuzzfs", PATH));
    fb_code rc = journal_open(&j);
    MUST(rc == FB_OK || rc == FB_E_NOT_FOUND || rc == FB_E_NEWER || rc == FB_E_CORRUPT);
    if (rc == FB_OK) {
        rc = journal_follow(&j, expect, &last);
        MUST(rc == FB_OK || rc == FB_E_CORRUPT);
    }
    if (rc == FB_OK && !j.open) {
        /* Another record than the one that stood there: what is behind it must not fit any more. */
        MUST_OK(journal_append(&j, JOURNAL_CLOSED, last + 1, text_of(""), false));
        journal_rewind(&j);
        MUST_OK(journal_follow(&j, expect, &again));
        MUST(again == last + 1);
    }
    journal_clear(&j);
}

void fuzz_run(fb_text in)
{
    static char bytes[2][IMAGE_BYTES_MAX];
    size_t sizes[2] = {images[0].size, images[1].size};
    crash_vfs_remove(files, "dev");
    for (int i = 0; i < 2; i++) {
        memcpy(bytes[i], images[i].data, sizes[i]);
    }
    while (in.size > 1) {
        unsigned which = take_byte(&in) & 1;
        uint32_t at = take_number(&in, 2);
        fb_text with = take_bytes(&in, take_byte(&in) % 24);
        for (size_t i = 0; i < with.size && sizes[which] > 0; i++) {
            bytes[which][(at + i) % sizes[which]] = with.data[i];
        }
    }
    if (in.size == 1) {
        unsigned which = take_byte(&in);
        sizes[which & 1] = sizes[which & 1] * (which >> 1) / 128;
    }
    for (int i = 0; i < 2; i++) {
        if (images[i].size > 0) {
            crash_vfs_put(files, NAMES[i], bytes[i], sizes[i]);
        }
    }
    read_and_go_on();
}

void fuzz_seeds(void)
{
    static const char CUT[] = {(char)0x81};
    static const char FLIP[] = {0, 70, 0, 1, 'x'};
    seed_put(text_of(""));
    seed_put((fb_text){CUT, sizeof CUT});
    seed_put((fb_text){FLIP, sizeof FLIP});
}
