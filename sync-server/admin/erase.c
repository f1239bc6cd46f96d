/* erase.c - a person asked for it: the data of a customer or contact goes. See admin.h, and
 * sync-server/erase for what that is.
 *
 * One transaction for everything in the database; behind it, as often as the command is given: the
 * list beside the database, files of photos, packs, and a database written anew, so that nothing is
 * left in free pages and the log. A step that fails there is said, and the same command ends it. */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "sync-server/erase/erase.h"

enum { ERASE_BYTES_MAX = 1 << 30, PATH_BYTES = 4200, REASON_BYTES_MAX = 200 };

static fb_code person_find(admin *a, erase_order *o, const char *key, arena *memory, fb_error *err)
{
    const cat_entity *e = catalog_entity(store_catalog(a->db), o->entity);
    if (e == NULL) {
        return fail(err, FB_E_NOT_FOUND, "entity", "there is no entity '%.*s': see entities",
                    (int)o->entity.size, o->entity.data);
    }
    fb_value *row = arena_take(memory, e->columns_count * sizeof *row);
    fb_code rc = row == NULL ? FB_E_NO_MEMORY : row_by_key(a, e, text_of(key), memory, row);
    if (rc == FB_OK) {
        o->id = row[0].u.id;
    } else if (rc == FB_E_NOT_FOUND && id_get(text_of(key), &o->id)) {
        o->row_may_lack = true; /* deleted meanwhile: what is kept of it goes */
        rc = FB_OK;
    }
    return rc != FB_E_NOT_FOUND
               ? rc
               : fail(err, rc, "key", "there is no %.*s '%s': give its business key or id",
                      (int)o->entity.size, o->entity.data, key);
}

static fb_code rows_erase(admin *a, const erase_order *o, bool dry, arena *memory,
                          erase_report *out, fb_error *err)
{
    fb_code rc = store_begin(a->db);
    if (rc != FB_OK) {
        return fail(err, rc, "", "the database is in use by another writer: try again");
    }
    rc = erase_person(a->db, o, memory, out, err);
    if (rc != FB_OK || dry) {
        store_rollback(a->db);
        return rc;
    }
    return store_commit(a->db);
}

/* ---- with backups ---- */

static void list_place(const char *backup, bool is_folder, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, is_folder ? "%.4096s/persons" : "%.4096s", backup);
}

fb_code erased_backup(admin *a, const char *backup, bool is_folder, fb_error *err)
{
    char place[PATH_BYTES];
    list_place(backup, is_folder, place);
    return erase_list_keep(a->db, place, NULL, err);
}

static fb_code one_keep(void *ctx, const store_erasure *one)
{
    return store_erased_put(ctx, NULL, one, 1, NULL);
}

fb_code erased_restore(const char *database, const char *to, const char *backup, bool is_folder,
                       fb_error *err)
{
    char place[PATH_BYTES], kept[PATH_BYTES];
    store *s = NULL;
    bool erased = false;
    list_place(backup, is_folder, place);
    snprintf(kept, sizeof kept, "%s", to);
    FB_TRY(store_erased_each(place, NULL, one_keep, kept, err));
    FB_TRY(store_open(&(store_options){.path = database}, &s, err));
    fb_code rc = erase_again(s, kept, NULL, &erased, err);
    store_close(s);
    return rc == FB_OK && erased ? store_compact(database, NULL, err) : rc;
}

/* ---- the command ---- */

/* What no transaction holds. */
static fb_code rest_erase(admin *a, const erase_report *r, fb_error *err)
{
    char path[PATH_BYTES];
    int64_t before = 0;
    snprintf(path, sizeof path, "%s/master.db", a->home);
    FB_TRY(erase_list_keep(a->db, path, NULL, err));
    FB_TRY(blobs_erase(a, r, err));
    FB_TRY(store_meta_int(a->db, "erased_pos", 0, &before));
    FB_TRY(packs_forget(a, before, err));
    return store_compact(path, NULL, err);
}

static void report(const admin *a, const erase_report *r, bool dry)
{
    if (a->json) {
        printf("{\"rows\":%lld,\"kept\":%lld,\"held\":%lld,\"files\":%u,\"listed\":%lld,"
               "\"written\":%s}\n",
               (long long)r->rows, (long long)r->kept, (long long)r->held, r->files_count,
               (long long)r->listed, dry ? "false" : "true");
    }
    admin_say(a, TEXT_ERASE_ROWS, (long long)r->rows, (long long)r->kept, (long long)r->held,
              r->files_count);
    bool again = r->rows + r->kept + r->listed == 0;
    admin_say(a, dry ? TEXT_IMPORT_DRY : again ? TEXT_ERASE_AGAIN : TEXT_ERASE_DONE);
}

static int erase_run(admin *a, erase_order *o, bool dry)
{
    arena *memory = arena_new(ERASE_BYTES_MAX);
    erase_report r = {.rows = 0};
    fb_error err = {0};
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : person_find(a, o, a->argv[1], memory, &err);
    if (rc == FB_OK) {
        rc = rows_erase(a, o, dry, memory, &r, &err);
    }
    if (rc == FB_OK && !dry) {
        rc = rest_erase(a, &r, &err);
    }
    if (rc == FB_OK) {
        report(a, &r, dry);
    }
    arena_free(memory);
    return rc == FB_OK ? EXIT_DONE : admin_failed(a, rc, &err);
}

int command_erase(admin *a)
{
    const char *reason = option_take(a, "--reason");
    bool dry = flag_take(a, "--dry-run");
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    if (a->argc != 2 || reason == NULL || reason[0] == '\0' || strlen(reason) > REASON_BYTES_MAX) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "ENTITY KEY --reason TEXT [--dry-run]", a->command);
        return EXIT_USAGE;
    }
    erase_order o = {.entity = text_of(a->argv[0]),
                     .reason = text_of(reason),
                     .at_ms = a->port->wall_ms(a->port->ctx)};
    return erase_run(a, &o, dry);
}
