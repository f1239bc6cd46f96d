/* jobs.c - what people do: every job is a process of its own. See soak.h.
 *
 *   app     saves 1 to 4 groups (phone.c): a visit with activity and, mostly, an order, a payment,
 *           a photo; the manager's an activity and a changed customer, which the rep changes too
 *   worker  `fieldbook sync`, now and then `fieldbook check`; the manager's stays with --wait
 *
 * Both work on one replica at the same time, as an app and its background worker do. */
#include "soak/soak.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUPS_A_JOB = 4, LINES_MAX = 5, PHOTO_BYTES_MAX = 40000 };

/* Codes that a fault explains; every other one breaks a promise. E_TLS and E_PROTOCOL: only a
 * portal or a cut brings them. */
static const char *const EXPECTED[] = {"E_OFFLINE",   "E_TIMEOUT", "E_BUSY",      "E_RATE",
                                       "E_DISK_FULL", "E_IO",      "E_TLS",       "E_PROTOCOL",
                                       "E_TRUNCATED", "E_JSON",    "E_MEDIA",     "E_EPOCH",
                                       "E_GAP",       "E_FORK",    "E_NO_MEMORY", "E_READ_ONLY"};
enum { EXPECTED_COUNT = sizeof EXPECTED / sizeof *EXPECTED };

void refusal_count(soak *s, const char *code)
{
    size_t size = strcspn(code, " :\"\n");
    note(s, "refused: %s", code);
    for (int i = 0; i < EXPECTED_COUNT; i++) {
        if (strlen(EXPECTED[i]) == size && strncmp(EXPECTED[i], code, size) == 0) {
            s->refusals[i]++;
            return;
        }
    }
    violation(s, "no fault explains this refusal: %s", code);
}

void refusals_print(const soak *s)
{
    printf("refusals that a person would have read:");
    for (int i = 0; i < EXPECTED_COUNT; i++) {
        if (s->refusals[i] > 0) {
            printf(" %s=%u", EXPECTED[i], s->refusals[i]);
        }
    }
    printf("\n");
}

/* ---------------------------------------------------------------- groups */

/* As company.c's list of prices says, in the currency's smallest unit. */
static int64_t price_minor(uint32_t product)
{
    return product * 100 + product * 7;
}

static void order_put(FILE *out, soak_device *d, group *g, const char *customer, const char *marker)
{
    uint32_t lines = dice_between(&d->dice, 1, LINES_MAX), from = dice_below(&d->dice, PRODUCTS);
    g->parts |= PART_ORDER;
    g->lines = (int)lines;
    fprintf(out, ",{\"op\":\"order.submit\",\"customer\":\"%s\",\"note\":\"%s\",\"lines\":[",
            customer, marker);
    for (uint32_t i = 0; i < lines; i++) {
        uint32_t product = (from + i) % PRODUCTS + 1, qty = dice_between(&d->dice, 1, 20);
        g->order_minor += qty * price_minor(product);
        fprintf(out, "%s{\"product\":\"P%u\",\"qty\":\"%u\"}", i == 0 ? "" : ",", product, qty);
    }
    fputs("]}", out);
}

static void payment_put(FILE *out, soak_device *d, group *g, const char *customer,
                        const char *marker)
{
    g->parts |= PART_PAYMENT;
    g->payment_minor = dice_between(&d->dice, 1, 100000);
    fprintf(out,
            ",{\"op\":\"payment.add\",\"customer\":\"%s\",\"amount\":\"%lld.%02lld\",\"method\":"
            "\"cash\",\"ref_no\":\"%s\"}",
            customer, (long long)g->payment_minor / 100, (long long)g->payment_minor % 100, marker);
}

static void photo_put(const soak *s, FILE *out, soak_device *d, group *g, const char *marker)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/photos/%s.jpg", s->folder, marker);
    FILE *f = fopen(path, "wbe");
    if (f == NULL) {
        give_up("cannot write %s", path);
    }
    fputs(marker, f);
    for (uint32_t left = dice_between(&d->dice, 100, PHOTO_BYTES_MAX) / 8; left > 0; left--) {
        uint64_t noise = dice_next(&d->dice);
        (void)fwrite(&noise, sizeof noise, 1, f);
    }
    (void)fclose(f);
    g->parts |= PART_PHOTO;
    fprintf(out, ",{\"op\":\"attachment.add\",\"file\":\"%s\",\"note\":\"%s\"}", path, marker);
}

/* Two people change one column: the server keeps the later value, and the other in a record. */
static void edit_put(FILE *out, const char *customer, const char *marker)
{
    fprintf(out, ",{\"op\":\"customer.set\",\"customer\":\"%s\",\"data\":{\"remark\":\"%s\"}}",
            customer, marker);
}

static void activity_put(FILE *out, group *g, const char *customer, const char *marker)
{
    g->parts |= PART_ACTIVITY;
    fprintf(out, "{\"op\":\"activity.add\",\"customer\":\"%s\",\"subject\":\"%s\"}", customer,
            marker);
}

static void visit_put(const soak *s, FILE *out, soak_device *d, group *g, const char *customer,
                      const char *marker)
{
    g->parts |= PART_VISIT;
    fprintf(out, "{\"op\":\"visit.check_in\",\"customer\":\"%s\",\"note\":\"%s\"}", customer,
            marker);
    if (dice_below(&d->dice, 10) < 7) {
        order_put(out, d, g, customer, marker);
    }
    if (dice_below(&d->dice, 10) < 5) {
        payment_put(out, d, g, customer, marker);
    }
    fputc(',', out);
    activity_put(out, g, customer, marker);
    if (dice_below(&d->dice, 10) < 2) {
        photo_put(s, out, d, g, marker);
    }
    if (dice_below(&d->dice, 10) < 2) {
        edit_put(out, customer, marker);
    }
    fputs(",{\"op\":\"visit.check_out\"}", out);
}

/* The manager writes an activity at some rep's customer and mostly changes it. */
static void remark_put(FILE *out, soak_device *d, group *g, const char *customer,
                       const char *marker)
{
    activity_put(out, g, customer, marker);
    if (dice_below(&d->dice, 10) < 7) {
        edit_put(out, customer, marker);
    }
}

static void group_put(soak *s, FILE *out, soak_device *d)
{
    char marker[MARKER_BYTES], customer[32];
    group *g = book_add(&s->book, d->index, ++d->next_group);
    uint32_t rep =
        d->is_manager ? dice_below(&d->dice, (uint32_t)s->o.devices) : (uint32_t)d->index;
    marker_of(g, marker);
    snprintf(customer, sizeof customer, "K%u-%u", rep + 1,
             dice_between(&d->dice, 1, CUSTOMERS_EACH));
    fprintf(out, "%s\t{\"kind\":\"%s\",\"ops\":[", marker, d->is_manager ? "remark" : "visit.done");
    if (d->is_manager) {
        remark_put(out, d, g, customer, marker);
    } else {
        visit_put(s, out, d, g, customer, marker);
    }
    fputs("]}\n", out);
}

static void lines_path(const soak *s, const soak_device *d, char out[PATH_BYTES + 16])
{
    snprintf(out, PATH_BYTES + 16, "%s/d%d.lines", s->folder, d->index);
}

static void write_lines(soak *s, soak_device *d)
{
    char path[PATH_BYTES + 16];
    lines_path(s, d, path);
    FILE *f = fopen(path, "wbe");
    if (f == NULL) {
        give_up("cannot write %s", path);
    }
    for (uint32_t n = dice_between(&d->dice, 1, GROUPS_A_JOB); n > 0; n--) {
        group_put(s, f, d);
    }
    if (fclose(f) != 0) {
        give_up("cannot write %s", path);
    }
}

/* ---------------------------------------------------------------- begin, end */

static pid_t save_start(soak *s, soak_device *d, const start *how)
{
    char lines[PATH_BYTES + 16];
    write_lines(s, d);
    lines_path(s, d, lines);
    const char *const argv[] = {"fb-soak", "--phone", d->db, lines, d->acks, NULL};
    return proc_start(s, how, argv);
}

/* In a host of its own, one session of four goes to the server without the proxy. */
static pid_t client_start(soak *s, soak_device *d, const start *how, job_kind kind)
{
    const char *url = d->host != 0 && dice_below(&d->dice, 4) == 0 ? d->direct_url : d->url;
    const char *const sync[] = {"fieldbook", "--json",   "--db", d->db,
                                "sync",      "--server", url,    NULL};
    const char *const stay[] = {"fieldbook", "--json", "--db",     d->db, "sync", "--server",
                                url,         "--wait", "--rounds", "2",   NULL};
    const char *const check[] = {"fieldbook", "--json", "--db", d->db, "check", NULL};
    return proc_start(s, how, kind == JOB_CHECK ? check : kind == JOB_WAIT ? stay : sync);
}

void job_begin(soak *s, soak_device *d, int slot, job_kind kind)
{
    job *j = &d->jobs[slot];
    start how = {.host = d->host, .out = j->out, .err = j->err};
    *j = (job){
        .kind = kind, .started_ms = now_ms(), .book_tick = s->book.tick, .killed_by = FAULT_NONE};
    snprintf(j->out, sizeof j->out, "%s/d%d.%d.out", s->folder, d->index, slot);
    snprintf(j->err, sizeof j->err, "%s/d%d.%d.err", s->folder, d->index, slot);
    how.out = j->out;
    how.err = j->err;
    j->pid = kind == JOB_SAVE ? save_start(s, d, &how) : client_start(s, d, &how, kind);
    j->pidfd = proc_pidfd(j->pid);
}

void job_choose(soak *s, soak_device *d, int slot)
{
    uint32_t roll = dice_below(&d->dice, 100);
    if (slot == SLOT_APP) {
        job_begin(s, d, slot, JOB_SAVE);
        return;
    }
    job_begin(s, d, slot, roll < 6 ? JOB_CHECK : d->is_manager && roll < 60 ? JOB_WAIT : JOB_SYNC);
}

/* The reports of sync: `complete` of the last one that speaks of rows. */
bool job_sync_is_quiet(const job *j, bool *complete_out)
{
    char *text = file_text(j->out);
    const char *last = NULL;
    for (const char *at = text; (at = strstr(at, "{\"complete\":")) != NULL; at++) {
        last = at;
    }
    *complete_out = last != NULL && strncmp(last, "{\"complete\":true", 16) == 0;
    const char *sent = last != NULL ? strstr(last, "\"groups_sent\":") : NULL;
    const char *rows = last != NULL ? strstr(last, "\"rows\":") : NULL;
    const char *files = strstr(text, "{\"files_complete\":"); /* absent: there were none */
    bool quiet = *complete_out && sent != NULL && strncmp(sent + 14, "0,", 2) == 0 &&
                 rows != NULL && strncmp(rows + 7, "0,", 2) == 0 &&
                 (files == NULL || (strstr(files, "\"files_complete\":true") != NULL &&
                                    strstr(files, "\"files_sent\":0") != NULL));
    free(text);
    return quiet;
}

/* What a sanitizer or an assertion wrote is a violation whatever the exit code says. */
static bool says_bug(const char *text)
{
    static const char *const SIGNS[] = {"AddressSanitizer", "runtime error", "LeakSanitizer",
                                        "broken promise"};
    for (size_t i = 0; i < sizeof SIGNS / sizeof *SIGNS; i++) {
        if (strstr(text, SIGNS[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void take_refusal(soak *s, const soak_device *d, const job *j, const char *text)
{
    const char *at = strstr(text, "\"error\":\"");
    char line[200];
    at = at != NULL ? at + 9 : text;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    note(s, "device %d job %d refused: %s", d->index, (int)j->kind, line);
    refusal_count(s, line);
}

static void job_failed(soak *s, const soak_device *d, const job *j, int code)
{
    char *text = file_text(j->err);
    if (says_bug(text)) {
        violation(s, "device %d job %d: %.2000s", d->index, (int)j->kind, text);
    } else if (code == 127 || code == 126 || code > 128) {
        violation(s, "device %d job %d ended with %d: %.300s", d->index, (int)j->kind, code, text);
    } else {
        take_refusal(s, d, j, text);
    }
    free(text);
}

static void check_answer(soak *s, const soak_device *d, const job *j)
{
    char *text = file_text(j->out);
    if (strstr(text, "\"sound\":true") == NULL) {
        violation(s, "device %d: check says %.300s", d->index, text);
    }
    free(text);
}

void job_end(soak *s, soak_device *d, int slot)
{
    job *j = &d->jobs[slot];
    bool complete = false;
    int code = proc_wait(j->pid);
    close(j->pidfd);
    s->jobs_done++;
    if (j->kind == JOB_SAVE) {
        book_take_acks(s, d);
    }
    if (code == 128 + SIGKILL && j->killed_by != FAULT_NONE) {
        if (j->killed_by < FAULTS) {
            s->fired[j->killed_by]++;
        }
    } else if (code != 0) {
        job_failed(s, d, j, code);
    } else if (j->kind == JOB_SYNC || j->kind == JOB_WAIT) {
        (void)job_sync_is_quiet(j, &complete);
        if (complete) {
            book_synced(s, d, j->book_tick);
        }
    } else if (j->kind == JOB_CHECK) {
        check_answer(s, d, j);
    }
    j->kind = JOB_NONE;
    d->next_job_ms[slot] = now_ms() + dice_between(&d->dice, 10, 400);
}
