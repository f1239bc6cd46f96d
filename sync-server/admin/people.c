/* people.c - enrolment codes and devices. See admin.h; the rules are the door's. */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "sync-server/door/door.h"

enum { CODE_MINUTES_DEFAULT = 60, CODE_MINUTES_MAX = 7 * 24 * 60 };

/* Runs one of the door's writers in a transaction of its own. */
typedef struct door_call {
    admin *a;
    fb_id id;
    int64_t valid_ms;
    buf *code;
} door_call;

static fb_code in_transaction(door_call *c, fb_code (*write)(door_call *c))
{
    FB_TRY(store_begin(c->a->db));
    fb_code rc = write(c);
    if (rc != FB_OK) {
        store_rollback(c->a->db);
        return rc;
    }
    return store_commit(c->a->db);
}

static int64_t now_ms(const door_call *c)
{
    return c->a->port->wall_ms(c->a->port->ctx);
}

static fb_code code_write(door_call *c)
{
    return door_code_make(c->a->db, &c->id, now_ms(c), c->valid_ms, c->a->port, c->code);
}

static fb_code block_write(door_call *c)
{
    return door_device_block(c->a->db, &c->id, now_ms(c));
}

static fb_code wipe_write(door_call *c)
{
    return door_device_wipe(c->a->db, &c->id, now_ms(c));
}

static fb_code allow_write(door_call *c)
{
    return door_device_allow(c->a->db, &c->id, now_ms(c));
}

/* Id of the row of `entity` with this business key; says so when there is none. */
static int id_by_key(admin *a, const char *entity, const char *key, fb_id *out)
{
    const cat_entity *e = catalog_entity_str(store_catalog(a->db), entity);
    arena *memory = arena_new(1 << 20);
    fb_value row[CATALOG_COLUMNS_LIMIT];
    fb_code rc = memory == NULL ? FB_E_NO_MEMORY : row_by_key(a, e, text_of(key), memory, row);
    if (rc == FB_OK) {
        *out = row[0].u.id;
    }
    arena_free(memory);
    if (rc == FB_E_NOT_FOUND) {
        admin_warn(a, TEXT_NO_ROW, entity, e->columns[e->business_key].name.data, key);
        return EXIT_REFUSED;
    }
    return rc == FB_OK ? EXIT_DONE : admin_failed(a, rc, NULL);
}

int command_code(admin *a)
{
    const char *text = option_take(a, "--minutes");
    int64_t minutes = CODE_MINUTES_DEFAULT;
    bool good = text == NULL ||
                (i64_get(text_of(text), &minutes) && minutes >= 1 && minutes <= CODE_MINUTES_MAX);
    if (!good || options_left(a) || a->argc != 2 || strcmp(a->argv[0], "make") != 0) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "make USER [--minutes 1..10080]", a->command);
        return EXIT_USAGE;
    }
    buf code;
    buf_init(&code, 256);
    door_call c = {.a = a, .valid_ms = minutes * 60000, .code = &code};
    int exit_code = id_by_key(a, "app_user", a->argv[1], &c.id);
    if (exit_code == EXIT_DONE) {
        fb_code rc = in_transaction(&c, code_write);
        exit_code = rc == FB_OK ? EXIT_DONE : admin_failed(a, rc, NULL);
    }
    if (exit_code == EXIT_DONE) {
        admin_say(a, TEXT_CODE_MADE, a->argv[1], buf_cstr(&code), (int)minutes);
        if (a->json) {
            printf("{\"user\":\"%s\",\"code\":\"%s\",\"minutes\":%d}\n", a->argv[1],
                   buf_cstr(&code), (int)minutes);
        }
    }
    bytes_wipe(code.data, code.size);
    buf_clear(&code);
    return exit_code;
}

static const struct device_verb {
    const char *name;
    fb_code (*write)(door_call *c);
    const char *state;
} DEVICE_VERBS[] = {
    {"block", block_write, "blocked"},
    {"activate", allow_write, "active"},
    {"wipe", wipe_write, "wiped"},
};

static int device_change(admin *a, const struct device_verb *verb, const char *key)
{
    door_call c = {.a = a};
    int exit_code = id_by_key(a, "device", key, &c.id);
    if (exit_code != EXIT_DONE) {
        return exit_code;
    }
    fb_code rc = in_transaction(&c, verb->write);
    if (rc != FB_OK) {
        return admin_failed(a, rc, NULL);
    }
    admin_say(a, TEXT_DEVICE_DONE, key, verb->state);
    return EXIT_DONE;
}

int command_device(admin *a)
{
    if (a->argc == 1 && strcmp(a->argv[0], "list") == 0) {
        static char entity[] = "device";
        char *arguments[] = {entity};
        a->argv = arguments;
        return command_list(a);
    }
    for (size_t i = 0; a->argc == 2 && i < sizeof DEVICE_VERBS / sizeof *DEVICE_VERBS; i++) {
        if (strcmp(a->argv[0], DEVICE_VERBS[i].name) == 0) {
            return device_change(a, &DEVICE_VERBS[i], a->argv[1]);
        }
    }
    admin_warn(a, TEXT_MISSING_ARGUMENT, "list | block CODE | activate CODE | wipe CODE",
               a->command);
    return EXIT_USAGE;
}
