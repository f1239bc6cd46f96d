/* make.c - fb-museum: makes an exhibit of this version for tests/museum/exhibits.
 *
 * An exhibit is a whole company in files as this version wrote them, at a bad moment: groups that
 * wait, groups whose answer was lost on the way, a tray, a draft, a first download that stands half
 * way, a conflict. Beside it stands what this same version made of it afterwards, as numbers:
 *
 *   world.zst    every file: a line "<path> <bytes>", then the bytes; packed
 *   expect.txt   a line "<device><tab><question><tab><number>": after everybody synchronised
 *
 * Every later version opens the files, goes on, and must come to the same numbers
 * (tests/path/test_museum.c). Exhibits are made once per release and never made anew: they are what
 * phones in the field hold. Uses nothing that the first exhibit's version did not have. */
#include "support/museum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pack.h"

enum { WORLD_BYTES_MAX = 64 << 20 };

/* What is asked of whom in the end. Devices: 0 and 1 reps with work, 2 the manager, 3 half way. */
static const struct {
    int device;
    const char *question;
} QUESTIONS[] = {
    {2, "SELECT count(*) FROM activity"},
    {2, "SELECT count(DISTINCT subject) FROM activity"},
    {2, "SELECT count(*) FROM sales_order"},
    {2, "SELECT count(*) FROM sales_order_line"},
    {2, "SELECT coalesce(sum(total),0) FROM sales_order"},
    {2, "SELECT count(*) FROM visit"},
    {2, "SELECT count(*) FROM customer"},
    {2, "SELECT count(*) FROM customer WHERE remark='from the second phone'"},
    {2, "SELECT count(*) FROM customer WHERE website='www.example.com'"},
    {2, "SELECT count(*) FROM conflict"},
    {0, "SELECT count(*) FROM activity"},
    {0, "SELECT count(*) FROM sales_order"},
    {0, "SELECT count(*) FROM task"},
    {0, "SELECT count(*) FROM customer WHERE remark='from the second phone'"},
    {1, "SELECT count(*) FROM activity"},
    {1, "SELECT count(*) FROM sales_order"},
    {3, "SELECT count(*) FROM activity"},
    {3, "SELECT count(*) FROM customer"},
    {3, "SELECT count(*) FROM price_list_item"},
    {0, "tray"},
    {0, "drafts"},
    {1, "tray"},
    {1, "pending"},
};

typedef struct lost_answer {
    fleet *world;
    int left; /* exchanges before answers get lost */
} lost_answer;

static fleet f;

static void say_activity(fleet_device *d, const fb_id *customer, const char *subject)
{
    fb_error err = {0};
    fleet_must(fb_activity_log(d->db, customer, subject, NULL, NULL, &err), &err, "activity");
}

static void take_order(fleet_device *d, const fb_id *customer, int64_t qty_milli)
{
    fb_error err = {0};
    fb_visit_in visit;
    fb_order *order = NULL;
    int64_t gseq = 0;
    fleet_must(fb_group_begin(d->db, "visit.done", 0, &err), &err, "group");
    fleet_must(fb_visit_check_in(d->db, customer, NULL, &visit, &err), &err, "check in");
    fleet_must(fb_order_new(d->db, customer, NULL, &order, &err), &err, "order");
    fleet_must(fb_order_line_add(order, &f.product, NULL, qty_milli, NULL, NULL, &err), &err,
               "line");
    fleet_must(fb_order_submit(order, NULL, &err), &err, "submit");
    fb_order_close(order);
    fleet_must(fb_visit_check_out(d->db, &visit.visit, NULL, &err), &err, "check out");
    fleet_must(fb_group_commit(d->db, &gseq, &err), &err, "commit");
}

static void edit(fleet_device *d, const fb_id *customer, const char *json)
{
    fb_error err = {0};
    f.now_ms += 1000;
    fleet_must(fb_customer_update(d->db, customer, json, NULL, &err), &err, "edit");
}

/* The request arrives, the answer does not. */
static fb_code exchange_lost(void *ctx, const fb_link_request *q, fb_link_response *out)
{
    lost_answer *l = ctx;
    server_request r = {.method = text_of(q->method),
                        .path = text_of(q->path),
                        .authorization = text_of(q->authorization),
                        .content_type = text_of(q->content_type),
                        .content_encoding = text_of(q->content_encoding),
                        .peer = text_of("test"),
                        .body = q->body};
    server_job_free(l->world->job);
    server_tick(l->world->srv, (uint64_t)l->world->now_ms);
    l->world->job = server_handle(l->world->srv, l->world->reader, &r);
    const server_reply *reply = server_job_reply(l->world->job);
    if (l->left-- <= 0) {
        return FB_E_OFFLINE;
    }
    *out = (fb_link_response){.status = reply->status, .zstd = reply->zstd, .body = reply->body};
    return FB_OK;
}

/* So many answers arrive, in pages of this size; then the line is dead. */
static void sync_cut(fleet_device *d, uint32_t page_bytes, int answers)
{
    fb_error err = {0};
    fb_sync *sync = NULL;
    lost_answer lost = {&f, answers};
    fb_link link = {&lost, exchange_lost};
    fb_sync_options o = FB_SYNC_OPTIONS_INIT;
    o.page_bytes = page_bytes;
    f.now_ms += 1000;
    fleet_must(fb_sync_open(d->db, &o, &sync, &err), &err, "sync");
    if (fb_sync_step(sync, &link, 0, NULL, &err) != FB_E_OFFLINE) {
        fleet_must(FB_E_BUG, NULL, "the sync that is to be cut");
    }
    fb_sync_close(sync);
}

static void forget_download(fleet_device *d)
{
    fb_error err = {0};
    fleet_must(fleet_enrol_again(d, &f.users[0], &err), &err, "enrol again");
}

static void story(void)
{
    fb_error err = {0};
    fleet_open(&f);
    fleet_device *a = fleet_device_add(&f, &f.users[0]);
    fleet_device *b = fleet_device_add(&f, &f.users[1]);
    fleet_device *m = fleet_device_add(&f, &f.manager);
    take_order(a, &f.customers[0], 3000);
    say_activity(a, &f.customers[0], "first call");
    fleet_sync(a);
    fleet_sync(m);

    fleet_device *second = fleet_device_add(&f, &f.users[0]);
    edit(a, &f.customers[0],
         "{\"remark\":\"from the first phone\",\"website\":\"www.example.com\"}");
    edit(second, &f.customers[0], "{\"remark\":\"from the second phone\"}");
    fleet_sync(second);
    say_activity(second, &f.customers[0], "from the second phone");
    fleet_sync(second);
    forget_download(second);
    sync_cut(second, 1, 3); /* half way */

    take_order(b, &f.customers[1], 2000);
    say_activity(b, &f.customers[1], "answer lost");
    sync_cut(b, 0, 0);
    say_activity(b, &f.customers[1], "after the lost answer");

    say_activity(a, &f.customers[0], "waits");
    take_order(a, &f.customers[0], 7000);
    fleet_must(fb_task_add(a->db, "bring the new price list", NULL, NULL, &err), &err, "task");
    fb_order *draft = NULL;
    fleet_must(fb_order_new(a->db, &f.customers[0], NULL, &draft, &err), &err, "draft");
    fleet_must(fb_order_line_add(draft, &f.product, NULL, 1000, NULL, NULL, &err), &err, "line");
    fb_order_close(draft);
    /* This one will be refused: the office takes the product off sale while the order waits. */
    take_order(b, &f.customers[1], 5000);
    company_set(&f.company, "product", &f.product, PAIRS("status", "suspended"));
}

static void put_file(void *ctx, const char *file, const void *data, size_t size)
{
    buf *out = ctx;
    if (strstr(file, "-shm") == NULL) {
        buf_printf(out, "%s %lu\n", file, (unsigned long)size);
        buf_put(out, data, size);
    }
}

static FILE *file_open(const char *folder, const char *name)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    return file;
}

static void file_close(FILE *file)
{
    if (fclose(file) != 0) {
        perror("closing");
        exit(2);
    }
}

static void world_write(const char *folder)
{
    buf world, packed;
    buf_init(&world, WORLD_BYTES_MAX);
    buf_init(&packed, WORLD_BYTES_MAX);
    buf_printf(&world, "now %lld\n", (long long)f.now_ms);
    crash_vfs_each(f.vfs, put_file, &world);
    fleet_must(world.code, NULL, "world");
    fleet_must(pack_put(&packed, buf_text(&world)), NULL, "pack");
    FILE *file = file_open(folder, "world.zst");
    fwrite(packed.data, 1, packed.size, file);
    file_close(file);
    buf_clear(&world);
    buf_clear(&packed);
}

static void expectations_write(const char *folder)
{
    FILE *file = file_open(folder, "expect.txt");
    museum_finish(&f);
    for (size_t i = 0; i < sizeof QUESTIONS / sizeof QUESTIONS[0]; i++) {
        fprintf(file, "%d\t%s\t%lld\n", QUESTIONS[i].device, QUESTIONS[i].question,
                (long long)museum_answer(&f.devices[QUESTIONS[i].device], QUESTIONS[i].question));
    }
    file_close(file);
}

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "make") != 0) {
        puts("fb-museum make FOLDER: write an exhibit of this version into the folder, which must\n"
             "exist (tests/museum/README.md). Exit code 0, or 2 with the reason.");
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    story();
    world_write(argv[2]);
    expectations_write(argv[2]);
    printf("museum ok: folder=%s questions=%zu\n", argv[2], sizeof QUESTIONS / sizeof QUESTIONS[0]);
    fleet_close(&f);
    return 0;
}
