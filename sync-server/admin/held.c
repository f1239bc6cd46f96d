/* held.c - groups that wait for a person: list, accept, refuse. See admin.h.
 *
 * Accepting applies the group as the device sent it, waiving what made it wait (credit, territory,
 * duplicate); refusing needs a reason, which the rep reads. The device learns it at its next sync.
 */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "sql/sql.h"
#include "sync-server/intake/intake.h"

enum { HELD_WORK_BYTES_MAX = 64 << 20 };

static const char HELD_SQL[] =
    "SELECT d.code AS device, v.gseq AS number, v.verdict AS verdict FROM fs_verdict v "
    "JOIN fs_incarnation i ON i.no = v.incarnation JOIN fs_device d ON d.id = i.device "
    "WHERE v.code = 4 AND v.state = 0 ORDER BY d.code, v.gseq";

static fb_code held_write(admin *a, intake *in, const intake_decision *how)
{
    int64_t head = 0;
    FB_TRY(store_begin(a->db));
    fb_code rc = ledger_head(a->db, &head);
    if (rc == FB_OK) {
        rc = decide_cache_begin(in->cache, a->db, head, how->now_ms);
    }
    if (rc == FB_OK) {
        rc = intake_held_decide(in, how);
    }
    if (rc != FB_OK) {
        store_rollback(a->db);
        return rc;
    }
    return store_commit(a->db);
}

static int held_decide(admin *a, intake_decision *how, const char *device, const char *number)
{
    const cat_entity *e = catalog_entity_str(store_catalog(a->db), "device");
    arena *memory = arena_new(1 << 20), *work = arena_new(HELD_WORK_BYTES_MAX);
    fb_value row[CATALOG_COLUMNS_LIMIT];
    intake in = {.db = a->db, .cache = decide_cache_new(), .work = work};
    fb_error err = {0};
    fb_code rc = memory == NULL || work == NULL || in.cache == NULL
                     ? FB_E_NO_MEMORY
                     : row_by_key(a, e, text_of(device), memory, row);
    if (rc == FB_OK) {
        how->device = row[0].u.id;
        how->now_ms = a->port->wall_ms(a->port->ctx);
        rc = held_write(a, &in, how);
    }
    decide_cache_free(in.cache);
    arena_free(work);
    arena_free(memory);
    if (rc == FB_E_NOT_FOUND || rc == FB_E_STATE) {
        rc = fail(&err, rc, number, "device %s has no held group with this number: see held list",
                  device);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    admin_say(a, how->accept ? TEXT_HELD_ACCEPTED : TEXT_HELD_REFUSED, number, device);
    return EXIT_DONE;
}

int command_held(admin *a)
{
    const char *reason = option_take(a, "--reason");
    intake_decision how = {.reason = text_of(reason)};
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    if (a->argc == 1 && strcmp(a->argv[0], "list") == 0) {
        return rows_show(a, text_of(HELD_SQL));
    }
    bool accept = a->argc == 3 && strcmp(a->argv[0], "accept") == 0;
    bool refuse =
        a->argc == 3 && strcmp(a->argv[0], "refuse") == 0 && reason != NULL && reason[0] != '\0';
    if (!(accept || refuse) || !i64_get(text_of(a->argv[2]), &how.gseq)) {
        admin_warn(a, TEXT_MISSING_ARGUMENT,
                   "list | accept DEVICE NUMBER | refuse DEVICE NUMBER --reason TEXT", a->command);
        return EXIT_USAGE;
    }
    how.accept = accept;
    return held_decide(a, &how, a->argv[1], a->argv[2]);
}
