/* held.c - groups that wait for a person: list, accept, refuse. See admin.h.
 *
 * Accepting applies the group as the device sent it, waiving what made it wait (credit, territory,
 * duplicate); refusing needs a reason, which the rep reads. The device learns it at its next sync.
 * A group is named by the row that shows it (held_group), or by device and number where that says
 * which: a phone that was put back counts from 1 again. */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "sql/sql.h"
#include "sync-server/intake/intake.h"

enum { HELD_WORK_BYTES_MAX = 64 << 20 };

static const char HELD_SQL[] =
    "SELECT v.held_row AS id, d.code AS device, v.gseq AS number, v.verdict AS verdict FROM "
    "fs_verdict v JOIN fs_incarnation i ON i.no = v.incarnation JOIN fs_device d ON d.id = "
    "i.device WHERE v.code = 4 AND v.state = 0 ORDER BY d.code, v.gseq, v.incarnation";

typedef struct deciding {
    admin *a;
    fb_id row;                   /* that shows it; none: device and number */
    const char *device, *number; /* as they were typed; `device`: or the row */
    arena *memory;
    intake in;
    intake_decision how;
    fb_error err;
} deciding;

static fb_code not_waiting(deciding *d)
{
    if (!id_is_none(&d->row)) {
        return fail(&d->err, FB_E_NOT_FOUND, d->device, "no held group has this id: see held list");
    }
    return fail(&d->err, FB_E_NOT_FOUND, d->number,
                "device %s has no held group with this number: see held list", d->device);
}

static fb_code by_number(deciding *d, held_waiting *out)
{
    const cat_entity *e = catalog_entity_str(store_catalog(d->a->db), "device");
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_code rc = row_by_key(d->a, e, text_of(d->device), d->memory, row);
    *out = (held_waiting){.count = 0};
    if (rc != FB_OK) {
        return rc == FB_E_NOT_FOUND ? FB_OK : rc;
    }
    return held_waiting_at(d->a->db, &row[0].u.id, d->how.gseq, out);
}

/* The group that is meant. */
static fb_code held_find(deciding *d)
{
    held_waiting found = {.count = 0};
    bool by_row = !id_is_none(&d->row);
    FB_TRY(by_row ? held_waiting_row(d->a->db, &d->row, &found) : by_number(d, &found));
    if (found.count == 0) {
        return not_waiting(d);
    }
    if (!by_row && found.count > 1) {
        return fail(&d->err, FB_E_STATE, d->number,
                    "device %s has begun anew, %u of its groups wait under this number: use the id "
                    "that held list shows",
                    d->device, (unsigned)found.count);
    }
    d->how.device = found.device;
    d->how.incarnation_no = found.incarnation_no;
    d->how.gseq = found.number;
    return FB_OK;
}

static fb_code held_run(deciding *d)
{
    int64_t head = 0;
    FB_TRY(held_find(d));
    FB_TRY(ledger_head(d->a->db, &head));
    FB_TRY(decide_cache_begin(d->in.cache, d->a->db, head, d->how.now_ms));
    return intake_held_decide(&d->in, &d->how);
}

/* Found and decided in one transaction: nobody decides it in between. */
static fb_code held_write(deciding *d)
{
    if (d->memory == NULL || d->in.work == NULL || d->in.cache == NULL) {
        return FB_E_NO_MEMORY;
    }
    FB_TRY(store_begin(d->a->db));
    fb_code rc = held_run(d);
    if (rc != FB_OK) {
        store_rollback(d->a->db);
        return rc;
    }
    return store_commit(d->a->db);
}

static int held_said(deciding *d)
{
    char number[24];
    fb_text code;
    fb_code rc = door_device_code(d->a->db, &d->how.device, d->memory, &code);
    if (rc != FB_OK) {
        return admin_failed(d->a, rc, NULL);
    }
    snprintf(number, sizeof number, "%lld", (long long)d->how.gseq);
    admin_say(d->a, d->how.accept ? TEXT_HELD_ACCEPTED : TEXT_HELD_REFUSED, number, code.data);
    return EXIT_DONE;
}

static int held_decide(deciding *d)
{
    d->memory = arena_new(1 << 20);
    d->in = (intake){
        .db = d->a->db, .cache = decide_cache_new(), .work = arena_new(HELD_WORK_BYTES_MAX)};
    d->how.now_ms = d->a->port->wall_ms(d->a->port->ctx);
    fb_code rc = held_write(d);
    int exit_code = rc == FB_OK ? held_said(d) : admin_failed(d->a, rc, &d->err);
    decide_cache_free(d->in.cache);
    arena_free(d->in.work);
    arena_free(d->memory);
    return exit_code;
}

/* accept ID, accept DEVICE NUMBER, refuse ... */
static bool held_get(deciding *d, const char *reason)
{
    const admin *a = d->a;
    if (a->argc != 2 && a->argc != 3) {
        return false;
    }
    bool refuse = strcmp(a->argv[0], "refuse") == 0 && reason != NULL && reason[0] != '\0';
    d->how =
        (intake_decision){.accept = strcmp(a->argv[0], "accept") == 0, .reason = text_of(reason)};
    d->device = a->argv[1];
    d->number = a->argv[a->argc - 1];
    return (d->how.accept || refuse) && (a->argc == 3 ? i64_get(text_of(d->number), &d->how.gseq)
                                                      : id_get(text_of(d->device), &d->row));
}

int command_held(admin *a)
{
    const char *reason = option_take(a, "--reason");
    deciding d = {.a = a};
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    if (a->argc == 1 && strcmp(a->argv[0], "list") == 0) {
        return rows_show(a, text_of(HELD_SQL));
    }
    if (!held_get(&d, reason)) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, a->usage, a->command);
        return EXIT_USAGE;
    }
    return held_decide(&d);
}
