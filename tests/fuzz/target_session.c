/* target_session.c - an attacker with a device of his own, for several requests on end: whatever
 * he says, the server never breaks, answers the same twice, and shows and changes nothing of
 * others.
 *
 * The input is a program of steps, a byte each and their operands (STEPS): groups of his that are
 * sound, foreign, nonsense or lines of his own; requests whose numbers, chain, epoch, incarnation
 * and token are right or twisted; honest exchanges, new incarnations, a restart or a crash of the
 * server, days that pass, and an honest colleague at work in another territory. The company begins
 * anew for every input, so that an input alone tells what happened.
 *
 * Held to: no status 500; the same request twice has the same verdicts; nothing of the other
 * territory on any page of his; the colleague's rows stay as she left them, and her device is
 * answered; at the end the database is sound and the audit chain holds. */
#include "fuzz.h"

#include <sqlite3.h>

#include "base/id.h"
#include "support/crash_vfs.h"
#include "support/raw_work.h"
#include "sync-server/ledger/ledger.h"

enum { STEPS_MAX = 60, NAME_BYTES = 256 };
static crash_vfs *files;
static raw_world world, clean;
static raw_device thief, clean_thief, honest, clean_honest;
static fb_id stolen_epoch, old_incarnations[4];
static unsigned old_count, made;
static fb_id orders[RAW_GROUPS_MAX]; /* of the honest one */
static unsigned orders_count;

static void work_first(raw_device *d)
{
    raw_reply r;
    raw_exchange(d, &r);
    raw_reply_clear(&r);
}

static void doors_close(void)
{
    server_reader_close(world.reader);
    server_close(world.srv);
    store_close(world.admin);
    world.reader = NULL;
    world.srv = NULL;
}

void fuzz_open(void)
{
    files = crash_vfs_new("fuzzfs", 1);
    MUST(files != NULL);
    MUST(sqlite3_vfs_register(sqlite3_vfs_find("fuzzfs"), 1) == SQLITE_OK);
    raw_world_open(&world);
    raw_enrol(&world, &thief, &world.users[0], 3);
    raw_enrol(&world, &honest, &world.users[1], 4);
    work_first(&thief);
    work_first(&honest);
    doors_close();
    crash_vfs_copy(files, "", "clean");
    clean = world;
    clean_thief = thief;
    clean_honest = honest;
    MUST_OK(store_open(&(store_options){.path = world.path}, &world.admin, NULL));
    raw_server_restart(&world, false);
}

static void begin_anew(void)
{
    raw_device_clear(&thief);
    raw_device_clear(&honest);
    doors_close();
    crash_vfs_copy(files, "clean", "");
    world.now_ms = clean.now_ms;
    world.random = clean.random;
    thief = clean_thief;
    honest = clean_honest;
    MUST_OK(store_open(&(store_options){.path = world.path}, &world.admin, NULL));
    raw_server_restart(&world, false);
    stolen_epoch = honest.incarnation;
    old_count = orders_count = made = 0;
}

static void check(void)
{
    fb_error err = {.code = FB_OK};
    int64_t entries = 0, bad = 0;
    if (store_check(world.admin, &err) != FB_OK) {
        fprintf(stderr, "store_check: %s: %s\n", err.field, err.message);
        fuzz_failed("store_check is ok", __FILE__, __LINE__);
    }
    MUST_OK(audit_verify(world.admin, &entries, &bad));
    MUST(bad == 0);
}

void fuzz_finish(void)
{
    check();
    raw_device_clear(&thief);
    raw_device_clear(&honest);
    raw_world_close(&world);
    crash_vfs_free(files);
}

/* ---------------------------------------------------------------- what must hold */

static void look(const raw_reply *r)
{
    MUST(r->status == 200 || (r->status >= 400 && r->status != 500 && r->status < 600));
    MUST(r->error != FB_E_BUG && r->error != FB_E_MISUSE && r->error != FB_E_CORRUPT);
    MUST(!raw_page_has(r, &world.customers[1]));
    for (unsigned i = 0; i < orders_count; i++) {
        MUST(!raw_page_has(r, &orders[i]));
    }
}

static void hers_stand(void)
{
    char text[NAME_BYTES];
    raw_server_text(&world, "customer", &world.customers[1], "phone", text);
    static char phone[NAME_BYTES];
    if (phone[0] == '\0') {
        snprintf(phone, sizeof phone, "%s", text);
    }
    MUST(strcmp(phone, text) == 0);
    for (unsigned i = 0; i < orders_count; i++) {
        raw_server_text(&world, "sales_order", &orders[i], "status", text);
        MUST(strcmp(text, "submitted") == 0);
    }
}

/* ---------------------------------------------------------------- steps */

typedef void (*step)(fb_text *in);

static bool room(void)
{
    return thief.last < RAW_GROUPS_MAX - 1;
}

static void save_order(fb_text *in)
{
    static const raw_order_texts TEXTS[] = {{"100000", "11300", "submitted", "account"},
                                            {"90000", "11300", "submitted", "account"},
                                            {"100000", "11300", "draft", "cash"},
                                            {"100000", "99999999", "submitted", "account"}};
    char no[16];
    fb_id order;
    uint8_t how = take_byte(in);
    snprintf(no, sizeof no, "T-%u", how & 16 ? 0 : ++made);
    (void)raw_push_order(&thief, no, &TEXTS[how % 4], how & 32 ? thief.last : 0, &order);
}

/* A change, a delete or a new row of a customer that is or is not his. */
static void save_change(fb_text *in)
{
    raw_group g;
    uint8_t how = take_byte(in);
    const fb_id *customer = &world.customers[how & 1];
    int64_t ver = how & 2 ? raw_server_ver(&world, "customer", customer) : take_byte(in);
    char phone[24];
    snprintf(phone, sizeof phone, "+86138%08u", ++made);
    raw_begin(&g, &thief, "thief", how & 4 ? world.now_ms - ((int64_t)take_byte(in) << 28) : 0, 0);
    if (how & 8) {
        raw_delete(&g, "customer", customer, ver);
    } else if (how & 16) {
        (void)raw_visit(&g, customer);
    } else if (how & 32) {
        (void)raw_order(&g, phone, customer, &RAW_GOOD);
    } else {
        raw_update(&g, "customer", customer, ver,
                   (const char *const[]){"phone", "+861381234567", phone, NULL});
    }
    (void)raw_end(&g);
}

static void save_line(fb_text *in)
{
    char line[512];
    fb_text bytes = take_bytes(in, (size_t)take_byte(in) * 2);
    size_t n = 0;
    for (size_t i = 0; i < bytes.size && n + 1 < sizeof line; i++) {
        if (bytes.data[i] != '\n' && bytes.data[i] != '\0') {
            line[n++] = bytes.data[i];
        }
    }
    line[n] = '\0';
    if (n > 0) {
        (void)raw_line(&thief, line);
    }
}

static void save(fb_text *in)
{
    static const step KINDS[] = {save_order, save_change, save_line};
    uint8_t kind = take_byte(in);
    if (room()) {
        KINDS[kind % 3](in);
    }
}

static void twist_numbers(sync_request *q, fb_text *in)
{
    int64_t *const numbers[] = {&q->first, &q->acked, &q->settled, &q->last};
    uint8_t which = take_byte(in);
    uint64_t by = (uint64_t)(int64_t)(int8_t)take_byte(in) << (which & 64 ? 55 : 0);
    int64_t twisted_number = (int64_t)((uint64_t)*numbers[which % 4] + by);
    *numbers[which % 4] = twisted_number < 0 ? 0 : twisted_number;
    if (which & 128) {
        q->groups_count = (uint32_t)take_byte(in) % (q->groups_count + 1);
    }
    /* Lines are taken from his groups by these: they must exist. */
    if (q->groups_count > 0 && (q->first < 1 || q->first > thief.last - q->groups_count + 1)) {
        q->first = 1; /* the count is not above `last` */
    }
}

static void twist_identity(sync_request *q, fb_text *in)
{
    static char token[128];
    uint8_t how = take_byte(in);
    if (how & 1) {
        q->incarnation = old_count > 0 ? old_incarnations[how % old_count] : stolen_epoch;
    }
    if (how & 2) {
        q->epoch.b[how % 16] ^= how;
    }
    if (how & 4) {
        q->token = text_of(how & 8 ? honest.page_token : "");
    } else if (how & 8) {
        fb_text bytes = take_bytes(in, take_byte(in) % (sizeof token - 1));
        size_t n = 0;
        for (size_t i = 0; i < bytes.size; i++) {
            char c = bytes.data[i];
            if ((c >= '0' && c <= '9') || c == '.' || c == '+' || c == '-') {
                token[n++] = c;
            }
        }
        q->token = (fb_text){token, n};
    }
    if (how & 16) {
        q->chain_before.b[0] ^= how;
    }
    q->page_bytes = how & 32 ? 200 : 0;
    q->catalog_version = how & 64 ? 0 : q->catalog_version;
    q->wait_ms = how & 128 ? UINT32_MAX : 0;
}

static void twisted(fb_text *in)
{
    raw_reply first, second;
    sync_request q = raw_request(&thief);
    uint8_t how = take_byte(in);
    if (how & 1) {
        twist_numbers(&q, in);
    }
    if (how & 2) {
        twist_identity(&q, in);
    }
    raw_sync_with(&thief, &q, &first);
    look(&first);
    raw_sync_with(&thief, &q, &second);
    look(&second);
    if (first.status == 200 && second.status == 200) {
        MUST(text_equal(first.verdicts, second.verdicts));
    }
    raw_reply_clear(&first);
    raw_reply_clear(&second);
}

static void exchange(fb_text *in)
{
    raw_reply r;
    (void)in;
    raw_sync(&thief, &r);
    look(&r);
    if (r.status == 200 && r.sync.applied <= thief.last) {
        thief.acked = r.sync.applied;
        thief.settled = r.complete ? thief.acked : thief.settled;
        fb_text token = r.items[RAW_VERDICTS_MAX - 1].page.token;
        if (token.size > 0) {
            snprintf(thief.page_token, sizeof thief.page_token, "%.*s", (int)token.size,
                     token.data);
        }
    }
    raw_reply_clear(&r);
}

static void reborn(fb_text *in)
{
    (void)in;
    if (old_count < 4) {
        old_incarnations[old_count++] = thief.incarnation;
    }
    raw_incarnation(&thief);
}

static void restart(fb_text *in)
{
    raw_server_restart(&world, take_byte(in) & 1);
}

static void days_pass(fb_text *in)
{
    world.now_ms += ((int64_t)take_byte(in) + 1) * 3600000;
}

/* The colleague: an order at her own customer, and she is answered. */
static void honest_work(fb_text *in)
{
    raw_group g;
    raw_reply r;
    char no[16];
    (void)in;
    if (honest.last >= RAW_GROUPS_MAX - 1) {
        return;
    }
    snprintf(no, sizeof no, "H-%u", orders_count + 1);
    raw_begin(&g, &honest, "order.submit", 0, 0);
    orders[orders_count] = raw_order(&g, no, &world.customers[1], &RAW_GOOD);
    int64_t gseq = raw_end(&g);
    world.now_ms += 5000;
    raw_sync(&honest, &r);
    MUST(r.status == 200);
    MUST(raw_verdict(&r, gseq).code == VERDICT_APPLIED);
    honest.acked = r.sync.applied;
    orders_count++;
    raw_reply_clear(&r);
}

static const step STEPS[] = {save,     save,   save,    twisted,     twisted,
                             exchange, reborn, restart, honest_work, days_pass};
enum { STEPS_COUNT = sizeof STEPS / sizeof STEPS[0] };

void fuzz_run(fb_text in)
{
    begin_anew();
    for (int i = 0; i < STEPS_MAX && in.size > 0; i++) {
        world.now_ms += 1000;
        STEPS[take_byte(&in) % STEPS_COUNT](&in);
    }
    hers_stand();
    check();
}

/* ---------------------------------------------------------------- seeds */

void fuzz_seeds(void)
{
    static const char *const PROGRAMS[] = {
        "\001\003\020\005\010\001\003\001\005",             /* an order, an exchange, her order */
        "\001\001\001\005\001\001\040\005\001\001\010\005", /* another's customer, three ways */
        "\001\003\020\005\006\001\003\020\005\003\002\001", /* reborn, then the old incarnation */
        "\001\003\021\001\003\022\003\001\200\001\005",     /* fewer groups than known */
        "\001\003\020\003\001\004\005\003\002\022",         /* twisted numbers, then identity */
        "\002\003\020\007\001\005\011\377\002\001\004\007\005"};
    for (size_t i = 0; i < sizeof PROGRAMS / sizeof PROGRAMS[0]; i++) {
        seed_put(text_of(PROGRAMS[i]));
    }
    buf line = source_file("schema/vectors/group.jsonl");
    buf seed;
    buf_init(&seed, 4096);
    size_t size = strcspn(buf_cstr(&line), "\n");
    buf_put(&seed, "\001\002", 2);
    buf_put_char(&seed, (char)(size / 2 > 255 ? 255 : size / 2));
    buf_put(&seed, line.data, size > 510 ? 510 : size);
    buf_put_str(&seed, "\005\003\001\005");
    seed_put(buf_text(&seed));
    buf_clear(&seed);
    buf_clear(&line);
}
