/* erase.c - a person asks to be erased in the middle of everything (D10). See sim.h, I16.
 *
 * The office enters a contact whose personal columns hold a text that stands nowhere else. Some
 * time later it is erased, while up to three phones have a change of it that nobody has heard of.
 * In the end the text is in no file of the server or a phone, whatever was lost, put back or copied
 * between. Copies that nobody uses any more are not looked at: backups, and a damaged database that
 * was set aside. */
#include "sim/sim.h"

#include <stdio.h>
#include <string.h>

#include "sync-server/erase/erase.h"
#include "sync-server/ledger/ledger.h"

#define SERVER "server/master.db"

enum { PENDING_MAX = 3, KNOWN_MS = 3 * 3600000, HORIZON_MS = 2 * 3600000, HORIZON_ROUNDS = 4 };

static void canary_of(const sim *s, const sim_person *p, char out[32])
{
    snprintf(out, 32, "zqcanary%03dx", (int)(p - s->persons));
}

/* ---- what happens ---- */

static bool person_enters(sim *s, store *db)
{
    company c;
    char text[32], hobby[48];
    const fb_id *customer = &s->company->customers[sim_random(s, SIM_CUSTOMERS)];
    if (s->persons_count == SIM_PERSONS_MAX) {
        return false;
    }
    sim_person *p = &s->persons[s->persons_count++];
    *p = (sim_person){.customer = *customer, .since_ms = s->now_ms};
    canary_of(s, p, text);
    snprintf(hobby, sizeof hobby, "%s and golf", text);
    company_init(&c, db, &s->server_port, mix64(s->random, ++s->offices));
    p->id = company_add(
        &c, "contact",
        PAIRS("customer_id", id_text(customer), "name", text, "hobby", hobby, "wechat", text));
    sim_trace(s, "office enters %s", text);
    return false; /* counted when it is erased */
}

static fb_code act_person(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    sim *s = d->world;
    const sim_person *p = &s->persons[s->person];
    char text[32], json[200];
    (void)customer;
    (void)mark;
    a->entity = "contact";
    a->column = NULL;
    canary_of(s, p, text);
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"hobby\":\"%s by dev%d\",\"title\":\"buyer %d\"}",
             id_text(&p->id), text, d->number, (int)sim_random(s, 6));
    return fb_record_put_json(d->db, "contact", json, NULL, NULL);
}

static fb_code row_seen(void *ctx, const fb_row *row)
{
    (void)ctx;
    (void)row;
    return FB_OK;
}

/* Phones that see the person have something to say of it. */
static void changes_wait(sim *s, const sim_person *p)
{
    int pending = 0;
    for (int i = 0; i < s->devices_count && pending < PENDING_MAX; i++) {
        sim_device *d = &s->devices[i];
        if (device_alive(d) && d->db != NULL &&
            fb_record_get(d->db, "contact", &p->id, FB_FORM_RAW, row_seen, NULL, NULL) == FB_OK) {
            pending += act_do(d, act_person, &p->customer);
        }
    }
}

/* The list beside the database, and a file written anew: what the disk does not allow now is done
 * at the end, as by an operator who runs the command again. */
static fb_code person_erase(sim *s, store *db, sim_person *p)
{
    const erase_order o = {.entity = text_of("contact"),
                           .id = p->id,
                           .reason = text_of("request"),
                           .at_ms = s->now_ms,
                           .row_may_lack = true};
    erase_report r;
    fb_error err = {0};
    arena *memory = arena_new(64 << 20);
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : store_begin(db);
    if (rc == FB_OK) {
        rc = erase_person(db, &o, memory, &r, &err);
        if (rc == FB_OK) {
            rc = store_commit(db);
        } else {
            store_rollback(db);
        }
    }
    arena_free(memory);
    if (rc == FB_OK) {
        p->erased = true;
        rc = erase_list_keep(db, SERVER, "simfs", &err);
    }
    return rc;
}

bool erase_happens(sim *s, sim_device *d)
{
    bool struck = false;
    store *db = server_sound(s) && s->twin == NULL ? world_store_open(SERVER) : NULL;
    (void)d;
    if (db == NULL) {
        return false;
    }
    for (s->person = 0; s->person < s->persons_count && s->persons[s->person].erased;) {
        s->person++;
    }
    sim_person *p = &s->persons[s->person];
    if (s->person == s->persons_count) {
        struck = person_enters(s, db);
    } else if (s->now_ms - p->since_ms > KNOWN_MS) {
        changes_wait(s, p);
        fb_code rc = server_sound(s) ? person_erase(s, db, p) : FB_E_IO;
        struck = p->erased;
        sim_trace(s, "office erases person %d -> %s", s->person, fb_code_name(rc));
    }
    store_close(db);
    if (struck) {
        fb_code rc = store_compact(SERVER, "simfs", NULL);
        sim_trace(s, "server's file is written anew -> %s", fb_code_name(rc));
    }
    return struck;
}

/* A server's files were put back; the list lies beside them, as it always does. */
void erase_list_back(sim *s)
{
    fb_error err = {0};
    crash_vfs_fail(s->vfs, "server", 0, SQLITE_OK, false);
    for (int i = 0; i < s->persons_count; i++) {
        const store_erasure one = {.entity = text_of("contact"),
                                   .reason = text_of("request"),
                                   .id = s->persons[i].id,
                                   .at_ms = s->persons[i].since_ms};
        if (s->persons[i].erased && store_erased_put(SERVER, "simfs", &one, 1, &err) != FB_OK) {
            sim_violation(s, "I16: the list of erased persons cannot be kept: %s", err.message);
        }
    }
}

/* ---- in the end ---- */

static bool any_erased(const sim *s)
{
    bool any = false;
    for (int i = 0; i < s->persons_count; i++) {
        any = any || s->persons[i].erased;
    }
    return any;
}

static void all_backed_up(sim *s)
{
    store *db = world_store_open(SERVER);
    int64_t head = 0;
    fb_code rc = db == NULL ? FB_E_IO : store_begin(db);
    if (rc == FB_OK) {
        rc = ledger_head(db, &head);
        rc = rc == FB_OK ? store_backup_counts(db, head, s->now_ms, 0) : rc;
        rc = rc == FB_OK ? store_commit(db) : rc;
    }
    store_close(db);
    if (rc != FB_OK) {
        sim_violation(s, "I16: the last backup fails: %s", fb_code_name(rc));
    }
}

static fb_code act_word(sim_device *d, const fb_id *customer, sim_action *a, const char *mark)
{
    (void)customer;
    a->entity = "task";
    a->column = "title";
    return fb_task_add(d->db, mark, NULL, NULL, NULL);
}

/* What earlier lives of a phone were answered leaves with the first backup that holds a group of
 * its present one (protocol.md 10.8): so everybody has one. */
static void all_say_a_word(sim *s)
{
    for (int i = 0; i < s->devices_count; i++) {
        if (s->devices[i].db != NULL) {
            (void)act_do(&s->devices[i], act_word, &s->company->customers[0]);
        }
    }
}

/* The backup's horizon: everybody hears of a backup that holds all, and comes again. False: it is
 * behind us. */
bool erase_heal(sim *s)
{
    if (!any_erased(s) || s->violations > 0 || s->erase_rounds == HORIZON_ROUNDS) {
        return false;
    }
    if (s->erase_rounds == 0) {
        all_say_a_word(s);
    } else if (s->erase_rounds == 1) {
        all_backed_up(s);
    }
    s->erase_rounds++;
    s->now_ms += HORIZON_MS;
    return true;
}

typedef struct search {
    const sim *s;
    char text[32];
    uint32_t kept[SIM_DEVICES_MAX]; /* as often a file of this phone may have it */
    uint32_t hits;
    char where[160];
} search;

static uint32_t text_count(const char *text, const void *data, size_t size)
{
    const char *at = data, *end = at + size;
    size_t n = strlen(text);
    uint32_t count = 0;
    while (size > 0 && (at = memmem(at, (size_t)(end - at), text, n)) != NULL) {
        count++;
        at += n;
    }
    return count;
}

/* Groups of earlier lives that were answered, or of this one that wait or were refused, on a phone
 * whose present life has none in a backup: a restored server may ask for their bytes, and knows a
 * group only by its bytes. */
static const char kept_text[] =
    "WITH kept AS (SELECT body, state FROM fb_outbox WHERE (state = 5 OR (state IN (1, 2, 3) AND "
    "gseq > 0)) AND coalesce((SELECT value FROM fb_meta WHERE key = 'backed_up'), 0) = 0) "
    "SELECT body FROM kept UNION ALL SELECT coalesce(hobby, '') FROM contact WHERE EXISTS "
    "(SELECT 1 FROM kept WHERE state = 1)"; /* what waits is seen */

/* Two copies of one phone drive each other into a new life whenever one was heard after the other:
 * that of which a backup would hold a group never comes, and what earlier lives were answered stays
 * (protocol.md 10.8, 5.5). As often as those groups have the text, and not once more, each file of
 * such a phone may have it: no free page has it besides. Its log has such a page as often as the
 * page was written since the last checkpoint. Every other phone: nowhere. */
static uint32_t kept_count(sim *s, const sim_device *d, const char *text)
{
    uint32_t count = 0;
    sqlite3_stmt *q = NULL;
    sqlite3 *db = d->cloned ? open_file(s, d->path) : NULL;
    if (db == NULL) {
        return 0;
    }
    if (sqlite3_prepare_v2(db, kept_text, -1, &q, NULL) != SQLITE_OK) {
        sim_violation(s, "the checker's SQL is wrong: %s", sqlite3_errmsg(db));
    }
    while (q != NULL && sqlite3_step(q) == SQLITE_ROW) {
        count += text_count(text, sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0));
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
    return count;
}

static bool is_living(const char *file)
{
    return (strncmp(file, "server/", 7) == 0 || strncmp(file, "dev", 3) == 0) &&
           strstr(file, "-damaged") == NULL;
}

static bool is_log(const char *file)
{
    size_t n = strlen(file);
    return n > 4 && strcmp(file + n - 4, "-wal") == 0;
}

static uint32_t kept_in(const search *w, const char *file)
{
    size_t n = strcspn(file, "/");
    for (int i = 0; i < w->s->devices_count; i++) {
        const char *machine = w->s->devices[i].machine;
        if (strlen(machine) == n && memcmp(machine, file, n) == 0) {
            return w->kept[i];
        }
    }
    return 0;
}

static void file_search(void *ctx, const char *file, const void *data, size_t size)
{
    search *w = ctx;
    uint32_t count = is_living(file) ? text_count(w->text, data, size) : 0;
    uint32_t kept = kept_in(w, file);
    if (count > kept && !(kept > 0 && is_log(file))) {
        w->hits += count;
        snprintf(w->where, sizeof w->where, "%s", file);
    }
}

static void person_check(sim *s, const sim_person *p)
{
    search w = {.s = s};
    canary_of(s, p, w.text);
    for (int i = 0; i < s->devices_count; i++) {
        w.kept[i] = kept_count(s, &s->devices[i], w.text);
    }
    crash_vfs_each(s->vfs, file_search, &w);
    if (w.hits > 0) {
        sim_violation(s, "I16: %s stands %u times in files, last in %s", w.text, w.hits, w.where);
    }
}

void erase_check(sim *s)
{
    fb_error err = {0};
    if (!any_erased(s)) {
        return;
    }
    if (store_compact(SERVER, "simfs", &err) != FB_OK) {
        sim_violation(s, "I16: the server's file cannot be written anew: %s", err.message);
    }
    for (int i = 0; i < s->persons_count; i++) {
        if (s->persons[i].erased) {
            person_check(s, &s->persons[i]);
        }
    }
}
