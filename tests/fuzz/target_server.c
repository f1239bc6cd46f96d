/* target_server.c - requests of an enrolled device: any body gets a reply, none is "internal
 * error".
 *
 * First byte: 'g' the lines are groups, which the harness numbers and chains as a device would,
 * sent twice: the verdicts must be the same both times; 'r' a raw body; 'z' a packed body; 'e' an
 * enrolment; 'p' lines of method, path, authorization, type, encoding, then the body.
 * The words 0ff0ff0f in a group become different for every run, so that its ids are new ones.
 * The company begins anew every SERVER_RUNS_MAX runs, after store_check found it sound. */
#include "fuzz.h"

#include <sqlite3.h>

#include "support/crash_vfs.h"
#include "support/raw_work.h"
#include "wire/pack.h"

enum { SERVER_RUNS_MAX = 500, LINES_MAX = 40, BODY_BYTES_MAX = 64 << 20 };
static const char MARK[] = "0ff0ff0f";

static crash_vfs *files;
static raw_world world, clean;
static raw_device device, clean_device;
static unsigned runs;
static fb_id order_id;

static void push(void)
{
    raw_reply r;
    raw_exchange(&device, &r);
    raw_reply_clear(&r);
}

void fuzz_open(void)
{
    files = crash_vfs_new("fuzzfs", 1);
    MUST(files != NULL);
    MUST(sqlite3_vfs_register(sqlite3_vfs_find("fuzzfs"), 1) == SQLITE_OK);
    raw_world_open(&world);
    raw_enrol(&world, &device, &world.users[0], 3);
    (void)raw_push_order(&device, "SO-1", &RAW_GOOD, 0, &order_id);
    push();
    push();
    clean = world;
    clean_device = device;
    server_reader_close(world.reader);
    server_close(world.srv);
    store_close(world.admin);
    crash_vfs_copy(files, "", "clean");
    world.reader = NULL;
    world.srv = NULL;
    MUST_OK(store_open(&(store_options){.path = world.path}, &world.admin, NULL));
    raw_server_restart(&world, false);
}

static void check(void)
{
    fb_error err = {.code = FB_OK};
    if (store_check(world.admin, &err) != FB_OK) {
        fprintf(stderr, "store_check: %s: %s\n", err.field, err.message);
        fuzz_failed("store_check is ok", __FILE__, __LINE__);
    }
}

void fuzz_finish(void)
{
    check();
    raw_device_clear(&device);
    raw_world_close(&world);
    crash_vfs_free(files);
}

static void begin_anew(void)
{
    check();
    server_reader_close(world.reader);
    server_close(world.srv);
    store_close(world.admin);
    crash_vfs_copy(files, "clean", "");
    world.now_ms = clean.now_ms;
    world.random = clean.random;
    world.reader = NULL;
    world.srv = NULL;
    MUST_OK(store_open(&(store_options){.path = world.path}, &world.admin, NULL));
    raw_server_restart(&world, false);
}

/* ---------------------------------------------------------------- what comes back */

static void look_at_verdict(const reply_item *item)
{
    if (item->line == LINE_VERDICT) {
        MUST(item->verdict.error != FB_E_BUG && item->verdict.error != FB_E_POISON);
        MUST(item->verdict.error != FB_E_MISUSE && item->verdict.error != FB_E_CORRUPT);
    }
}

/* Lines up to the page go to verdicts_out. */
static void look_at_reply(fb_text body, arena *memory, buf *verdicts_out)
{
    line_reader l;
    fb_text line;
    sync_reply head;
    bool in_page = false, ended = false;
    line_reader_init(&l, body);
    MUST(line_next(&l, &line));
    MUST_OK(sync_reply_get(line, memory, &head));
    while (line_next(&l, &line)) {
        reply_item item;
        MUST(!ended);
        if (in_page && (line.data[0] == '[' || memcmp(line.data, "{\"e\"", 4) == 0)) {
            continue;
        }
        MUST_OK(reply_item_get(line, memory, &item));
        look_at_verdict(&item);
        if (item.line == LINE_RUN || item.line == LINE_VERDICT) {
            buf_put_text(verdicts_out, line);
            buf_put_char(verdicts_out, '\n');
        }
        in_page |= item.line == LINE_PAGE;
        ended = item.line == LINE_END;
    }
    MUST_OK(l.code);
    MUST(ended);
}

static int ask(const server_request *q, buf *verdicts_out)
{
    buf plain;
    arena *memory = arena_new(BODY_BYTES_MAX);
    buf_init(&plain, BODY_BYTES_MAX);
    world.now_ms += 200;
    server_job *job = server_handle(world.srv, world.reader, q);
    const server_reply *r = server_job_reply(job);
    int status = r->status;
    if (r->zstd) {
        MUST_OK(pack_get(&plain, r->body, BODY_BYTES_MAX));
    } else {
        buf_put_text(&plain, r->body);
    }
    if (status != 200) {
        error_msg m = {.code = FB_OK};
        MUST_OK(error_msg_get(buf_text(&plain), memory, &m));
        MUST(status != 500 && m.code != FB_E_BUG && m.code != FB_E_MISUSE);
    } else if (text_is(q->path, "/v1/sync")) {
        look_at_reply(buf_text(&plain), memory, verdicts_out);
    }
    server_job_free(job);
    buf_clear(&plain);
    arena_free(memory);
    return status;
}

/* ---------------------------------------------------------------- requests */

static server_request request(const char *path, const char *encoding, fb_text body)
{
    static char authorization[160];
    buf out;
    buf_init(&out, sizeof authorization);
    buf_printf(&out, "Fieldbook %s:", id_text(&device.id));
    hex_put(&out, device.token.b, sizeof device.token.b);
    snprintf(authorization, sizeof authorization, "%s", buf_cstr(&out));
    buf_clear(&out);
    return (server_request){.method = text_of("POST"),
                            .path = text_of(path),
                            .authorization = text_of(authorization),
                            .content_type = text_of("application/x-fieldbook"),
                            .content_encoding = text_of(encoding),
                            .peer = text_of("127.0.0.1"),
                            .body = body};
}

static void send_body(const char *path, const char *encoding, fb_text body)
{
    buf verdicts;
    buf_init(&verdicts, BODY_BYTES_MAX);
    server_request q = request(path, encoding, body);
    (void)ask(&q, &verdicts);
    buf_clear(&verdicts);
}

/* The input's lines, terminated and with ids of their own, become groups of a new incarnation. */
static void make_groups(fb_text in)
{
    char mine[9];
    buf text;
    snprintf(mine, sizeof mine, "%08x", 0x0ff10000u + runs);
    raw_device_clear(&device);
    device = clean_device;
    memset(device.groups, 0, sizeof device.groups);
    device.acked = device.settled = device.last = 0;
    raw_incarnation(&device);
    buf_init(&text, BODY_BYTES_MAX);
    buf_put_text(&text, in);
    for (size_t i = 0; i + 8 <= text.size; i++) {
        if (memcmp(text.data + i, MARK, 8) == 0) {
            memcpy(text.data + i, mine, 8);
        }
    }
    (void)buf_cstr(&text);
    for (size_t at = 0; at < text.size && device.last < LINES_MAX;) {
        size_t size = strcspn(text.data + at, "\n");
        text.data[at + size] = '\0';
        if (size > 0) {
            (void)raw_line(&device, text.data + at);
        }
        at += size + 1;
    }
    buf_clear(&text);
}

static void send_groups(fb_text in)
{
    buf body, first, second;
    make_groups(in);
    sync_request m = raw_request(&device);
    m.token = text_of(""); /* a new incarnation begins with a whole download */
    buf_init(&body, BODY_BYTES_MAX);
    buf_init(&first, BODY_BYTES_MAX);
    buf_init(&second, BODY_BYTES_MAX);
    sync_request_put(&body, &m);
    for (int64_t i = 0; i < device.last; i++) {
        sync_group_put(&body, buf_text(&device.groups[i]));
    }
    sync_end_put(&body);
    server_request q = request("/v1/sync", "", buf_text(&body));
    int status = ask(&q, &first);
    MUST(ask(&q, &second) == status);
    MUST(text_equal(buf_text(&first), buf_text(&second)));
    buf_clear(&body);
    buf_clear(&first);
    buf_clear(&second);
}

static fb_text take_line(fb_text *in)
{
    const char *end = memchr(in->data, '\n', in->size);
    fb_text line = take_bytes(in, end != NULL ? (size_t)(end - in->data) : in->size);
    (void)take_bytes(in, 1);
    return line;
}

static void send_anything(fb_text in)
{
    buf verdicts;
    buf_init(&verdicts, BODY_BYTES_MAX);
    server_request q = request("/v1/sync", "", in);
    q.method = take_line(&in);
    q.path = take_line(&in);
    fb_text authorization = take_line(&in);
    q.authorization = authorization.size > 0 ? authorization : q.authorization;
    q.content_type = take_line(&in);
    q.content_encoding = take_line(&in);
    q.body = in;
    (void)ask(&q, &verdicts);
    buf_clear(&verdicts);
}

void fuzz_run(fb_text in)
{
    if (++runs % SERVER_RUNS_MAX == 0) {
        begin_anew();
    }
    switch (take_byte(&in)) {
    case 'g':
        send_groups(in);
        return;
    case 'r':
        send_body("/v1/sync", "", in);
        return;
    case 'z':
        send_body("/v1/sync", "zstd", in);
        return;
    case 'e':
        send_body("/v1/enrol", "", in);
        return;
    default:
        send_anything(in);
        return;
    }
}

/* ---------------------------------------------------------------- seeds */

/* Groups of the device as lines, the beginning of their ids replaced by MARK. */
static void seed_groups(int64_t from)
{
    buf seed;
    char made[9];
    fb_id id = id_make(&device.ids, world.now_ms);
    snprintf(made, sizeof made, "%.8s", id_text(&id));
    buf_init(&seed, BODY_BYTES_MAX);
    buf_put_char(&seed, 'g');
    for (int64_t i = from; i < device.last; i++) {
        buf_put_text(&seed, buf_text(&device.groups[i]));
        buf_put_char(&seed, '\n');
    }
    for (size_t i = 0; i + 8 <= seed.size; i++) {
        if (memcmp(seed.data + i, made, 8) == 0) {
            memcpy(seed.data + i, MARK, 8);
        }
    }
    seed_put(buf_text(&seed));
    buf_clear(&seed);
}

static void seed_order(const raw_order_texts *t)
{
    fb_id order;
    int64_t from = device.last;
    (void)raw_push_order(&device, "SO-0ff0ff0f", t, 0, &order);
    seed_groups(from);
}

static void seed_changes(void)
{
    raw_group g;
    int64_t from = device.last, ver = raw_server_ver(&world, "customer", &world.customers[0]);
    raw_begin(&g, &device, "customer.edit", 0, 0);
    raw_update(&g, "customer", &world.customers[0], ver,
               (const char *const[]){"phone", "+861381234567", "+861381234568", NULL});
    raw_end(&g);
    raw_begin(&g, &device, "customer.edit", world.now_ms - 5000, 0);
    raw_update(&g, "customer", &world.customers[0], 1,
               (const char *const[]){"phone", "+861380000000", "+861381234569", NULL});
    raw_end(&g);
    seed_groups(from);
    from = device.last;
    raw_begin(&g, &device, "customer.new", 0, 0);
    fb_id made = raw_insert(&g, "customer",
                            PAIRS("code", "C-0ff0ff0f", "name", "New", "status", "draft",
                                  "territory_id", id_text(&world.territories[0])));
    raw_end(&g);
    raw_begin(&g, &device, "visit.done", 0, 0);
    fb_id visit = raw_visit(&g, &made);
    raw_end(&g);
    raw_begin(&g, &device, "visit.delete", 0, 0);
    raw_delete(&g, "visit", &visit, 0);
    raw_end(&g);
    raw_begin(&g, &device, "customer.other", 0, 2);
    raw_delete(&g, "customer", &world.customers[1], 1);
    raw_end(&g);
    seed_groups(from);
}

static void seed_bodies(void)
{
    buf body, packed;
    sync_request m = clean_device.w != NULL ? raw_request(&clean_device) : (sync_request){0};
    buf_init(&body, BODY_BYTES_MAX);
    buf_init(&packed, BODY_BYTES_MAX);
    buf_put_char(&body, 'r');
    sync_request_put(&body, &m);
    sync_end_put(&body);
    seed_put(buf_text(&body));
    buf_put_char(&packed, 'z');
    MUST_OK(pack_put(&packed, (fb_text){body.data + 1, body.size - 1}));
    seed_put(buf_text(&packed));
    buf_clear(&body);
    buf_clear(&packed);
}

void fuzz_seeds(void)
{
    static const raw_order_texts WRONG = {"90000", "11300", "submitted", "account"};
    device = clean_device;
    /* Ids that begin like no id of the company: the maker never goes back in time. */
    (void)id_make(&device.ids, world.now_ms + INT64_C(10) * 86400000);
    memset(device.groups, 0, sizeof device.groups);
    device.acked = device.settled = device.last = 0;
    seed_order(&RAW_GOOD);
    seed_order(&WRONG);
    seed_changes();
    seed_bodies();
    seed_lines("e", "schema/vectors/enrol_request.jsonl");
    seed_whole("r", "schema/vectors/body_up.jsonl");
    seed_lines("g", "schema/vectors/group.jsonl");
    seed_put(text_of("pGET\n/v1/health\n\n\n\n"));
    seed_put(text_of("pPOST\n/v1/sync\nFieldbook x\ntext/plain\ngzip\nbody"));
}
