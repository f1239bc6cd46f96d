/* test_blob_limits.c - bytes that no row names go after the company's days, and quotas: a device or
 * a company beyond its own gets a clear error, and nothing changes.
 *
 * Uploads as a device makes them, straight into the server; the server's timer does the sweeping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/blob_file.h"
#include "support/fleet.h"
#include "wire/blob_msg.h"

#include <cmocka.h>

enum { BYTES = 1000 };
#define DAY_MS INT64_C(86400000)

static fleet f;
static char authorization[2][200]; /* of the devices of U1 and U2 */
static char said[400];             /* text of the last refusal */

static void overhear(void *ctx, const fb_link_request *q, fb_link_response *r)
{
    (void)r;
    snprintf(ctx, sizeof authorization[0], "%s", q->authorization);
}

static void begin(server_blob_limits limits)
{
    memset(&f, 0, sizeof f);
    f.blobs = limits;
    fleet_open(&f);
    for (int i = 0; i < 2; i++) {
        fleet_device *d = fleet_device_new(&f, &f.users[i]);
        f.answered = overhear;
        f.answered_ctx = authorization[i];
        fleet_sync(d);
        f.answered = NULL;
    }
}

static digest hash_of(int number, char bytes[BYTES])
{
    digest hash;
    memset(bytes, number, BYTES);
    digest_of(bytes, BYTES, &hash);
    return hash;
}

/* Sends bytes [at, at + count) of file `number`; the server's status. */
static int put(int device, int number, int at, int count)
{
    char bytes[BYTES];
    buf body;
    blob_put m = {.protocol = 1, .size = BYTES, .offset = at, .count = (uint32_t)count};
    m.hash = hash_of(number, bytes);
    m.bytes = (fb_text){bytes + at, (size_t)count};
    buf_init(&body, 1 << 20);
    blob_put_put(&body, &m);
    const server_request q = {.method = text_of("POST"),
                              .path = text_of("/v1/blob/put"),
                              .authorization = text_of(authorization[device]),
                              .content_type = text_of("application/x-fieldbook"),
                              .content_encoding = text_of(""),
                              .peer = text_of("test"),
                              .body = buf_text(&body)};
    f.now_ms += 1000;
    server_job *job = server_handle(f.srv, f.reader, &q);
    const server_reply *r = server_job_reply(job);
    int status = r->status;
    snprintf(said, sizeof said, "%.*s", (int)r->body.size, r->body.data);
    assert_true(status == 200 || r->retry_s > 0);
    server_job_free(job);
    buf_clear(&body);
    return status;
}

static bool is_there(int number)
{
    char bytes[BYTES], name[BLOB_NAME_BYTES + 1], path[160];
    int64_t size = 0;
    digest hash = hash_of(number, bytes);
    const fb_files *files = mem_files_port(f.files);
    blob_name_put(&hash, name);
    snprintf(path, sizeof path, "server/master.db.blobs/%.2s/%.2s/%s", name, name + 2, name);
    return files->size(files->ctx, path, &size) == FB_OK && size == BYTES;
}

static void count_file(void *ctx, const char *path, const void *data, size_t size)
{
    (void)data;
    if (strncmp(path, "server/master.db.blobs/", 23) == 0) {
        *(int64_t *)ctx += (int64_t)size;
    }
}

/* Of whole files and parts. */
static int64_t bytes_on_server(void)
{
    int64_t sum = 0;
    mem_files_each(f.files, count_file, &sum);
    return sum;
}

/* So many days go by, and the server's hourly timer runs. */
static void days_pass(int days)
{
    f.now_ms += days * DAY_MS;
    server_tick(f.srv, (uint64_t)f.now_ms);
}

/* A row of the server's that names file `number`. */
static fb_id name_it(int number)
{
    char bytes[BYTES], name[BLOB_NAME_BYTES + 1];
    digest hash = hash_of(number, bytes);
    blob_name_put(&hash, name);
    return company_add(&f.company, "attachment",
                       PAIRS("customer_id", id_text(&f.customers[0]), "kind", "photo", "media_type",
                             "image/jpeg", "size_bytes", "1000", "sha256", name, "taken_at",
                             "2025-10-01T08:00:00Z"));
}

static void bytes_that_no_row_names_go_after_their_days(void **state)
{
    (void)state;
    begin((server_blob_limits){.unnamed_days = 30, .free_bytes_min = 1});
    assert_int_equal(put(0, 1, 0, BYTES), 200);
    assert_int_equal(put(0, 2, 0, BYTES), 200);
    assert_int_equal(put(1, 3, 0, BYTES / 2), 200); /* never finished */
    fb_id row = name_it(2);
    assert_true(is_there(1) && is_there(2));
    days_pass(29);
    assert_true(is_there(1));
    assert_int_equal(bytes_on_server(), 2 * BYTES + BYTES / 2);
    days_pass(2);
    assert_false(is_there(1));
    assert_true(is_there(2)); /* a row names it */
    assert_int_equal(bytes_on_server(), BYTES);
    /* A device that comes back with them may send them anew. */
    assert_int_equal(put(0, 1, 0, BYTES), 200);
    assert_true(is_there(1));
    company_delete(&f.company, "attachment", &row);
    days_pass(31);
    assert_int_equal(bytes_on_server(), 0);
    fleet_close(&f);
}

/* A part that the database does not know goes; one under way and what is not ours stay. */
static void parts_that_no_row_knows_go(void **state)
{
    char bytes[BYTES], name[BLOB_NAME_BYTES + 1], orphan[200];
    const char *foreign = "server/master.db.blobs/part/notes-of-it";
    (void)state;
    begin((server_blob_limits){.unnamed_days = 30, .free_bytes_min = 1});
    const fb_files *files = mem_files_port(f.files);
    assert_int_equal(put(1, 3, 0, BYTES / 2), 200);
    digest hash = hash_of(4, bytes);
    blob_name_put(&hash, name);
    snprintf(orphan, sizeof orphan, "server/master.db.blobs/part/%s-%s", name,
             id_text(&f.customers[0]));
    const fb_text half = {bytes, BYTES / 2};
    assert_int_equal(files->write(files->ctx, orphan, 0, half, true), FB_OK);
    assert_int_equal(files->write(files->ctx, foreign, 0, half, true), FB_OK);
    days_pass(1);
    int64_t size = 0;
    assert_int_equal(files->size(files->ctx, orphan, &size), FB_E_NOT_FOUND);
    assert_int_equal(files->size(files->ctx, foreign, &size), FB_OK);
    assert_int_equal(put(1, 3, BYTES / 2, BYTES / 2), 200);
    assert_true(is_there(3));
    fleet_close(&f);
}

static void device_beyond_its_day_waits_and_nothing_changes(void **state)
{
    (void)state;
    begin((server_blob_limits){.device_day_bytes = 2 * BYTES + 1, .free_bytes_min = 1});
    assert_int_equal(put(0, 1, 0, BYTES), 200);
    assert_int_equal(put(0, 2, 0, BYTES / 2), 200); /* what has begun counts whole */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put(0, 3, 0, BYTES), 429);
        assert_non_null(strstr(said, "E_RATE"));
        assert_non_null(strstr(said, "blob_device_day_mib"));
        assert_int_equal(bytes_on_server(), BYTES + BYTES / 2);
    }
    assert_int_equal(put(0, 2, BYTES / 2, BYTES / 2), 200); /* and goes on to its end */
    assert_int_equal(put(1, 3, 0, BYTES), 200);             /* another device has its own */
    f.now_ms += DAY_MS;
    assert_int_equal(put(0, 4, 0, BYTES), 200);
    assert_true(is_there(1) && is_there(2) && is_there(3) && is_there(4));
    fleet_close(&f);
}

static void company_beyond_its_room_waits_and_nothing_changes(void **state)
{
    (void)state;
    begin((server_blob_limits){.total_bytes = 2 * BYTES, .free_bytes_min = 1, .unnamed_days = 1});
    assert_int_equal(put(0, 1, 0, BYTES), 200);
    assert_int_equal(put(1, 2, 0, 1), 200); /* a part takes the room of its whole */
    assert_int_equal(put(0, 3, 0, 1), 503);
    assert_non_null(strstr(said, "E_DISK_FULL"));
    assert_non_null(strstr(said, "blob_total_mib"));
    assert_int_equal(bytes_on_server(), BYTES + 1);
    assert_int_equal(put(1, 2, 1, BYTES - 1), 200);
    days_pass(2); /* nobody has named them: there is room again */
    assert_int_equal(bytes_on_server(), 0);
    assert_int_equal(put(0, 3, 0, BYTES), 200);
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_no_row_names_go_after_their_days),
        cmocka_unit_test(parts_that_no_row_knows_go),
        cmocka_unit_test(device_beyond_its_day_waits_and_nothing_changes),
        cmocka_unit_test(company_beyond_its_room_waits_and_nothing_changes),
    };
    return cmocka_run_group_tests_name("blob limits", tests, NULL, NULL);
}
