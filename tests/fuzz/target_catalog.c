/* target_catalog.c - a catalogue from anywhere: refused with module, entity, column and reason, or
 * SQLite takes every table and index made of it and loading its own text gives the same hash.
 *
 * The first byte says what the rest is: a whole catalogue, or a module added to that of the
 * vectors (CAT-1 to CAT-4). */
#include "fuzz.h"

#include <sqlite3.h>

#include "catalog/catalog.h"
#include "schema/limits.h"

static catalog *base;

void fuzz_open(void)
{
    buf text = source_file("schema/vectors/catalog.json");
    MUST_OK(catalog_load(buf_text(&text), &base, NULL));
    buf_clear(&text);
}

void fuzz_finish(void)
{
    catalog_free(base);
}

static fb_code run_sql(void *ctx, const char *sql)
{
    char *why = NULL;
    int rc = sqlite3_exec(ctx, sql, NULL, NULL, &why);
    if (rc != SQLITE_OK) {
        fprintf(stderr, "SQLite refuses: %s\n%s\n", why, sql);
    }
    sqlite3_free(why);
    MUST(rc == SQLITE_OK);
    return FB_OK;
}

static void make_tables(const catalog *from, const catalog *to)
{
    for (int side = 0; side < 2; side++) {
        sqlite3 *db = NULL;
        MUST(sqlite3_open(":memory:", &db) == SQLITE_OK);
        if (from != NULL) {
            MUST_OK(catalog_migrate(NULL, from, side == 0 ? CAT_DEVICE : CAT_SERVER, run_sql, db));
        }
        MUST_OK(catalog_migrate(from, to, side == 0 ? CAT_DEVICE : CAT_SERVER, run_sql, db));
        sqlite3_close(db);
    }
}

static void look(const catalog *c)
{
    for (uint32_t i = 0; i < c->entities_count; i++) {
        const cat_entity *e = &c->entities[i];
        MUST(catalog_entity(c, e->name) == e);
        MUST(e->columns_count >= 2 && text_is(e->columns[0].name, "id"));
        MUST(text_is(e->columns[cat_ver_column(e)].name, "ver"));
        for (uint32_t k = 0; k < e->columns_count; k++) {
            MUST(cat_column_find(e, e->columns[k].name) == (int)k);
            MUST(e->columns[k].to_entity < (int)c->entities_count);
        }
    }
}

static void accepted(const catalog *from, catalog *c)
{
    catalog *again = NULL;
    look(c);
    MUST_OK(catalog_load(c->text, &again, NULL));
    MUST(memcmp(again->hash.b, c->hash.b, sizeof c->hash.b) == 0);
    catalog_free(again);
    if (c->entities_count <= 2 * base->entities_count) { /* more tables would only take time */
        make_tables(from, c);
    }
    catalog_free(c);
}

static void whole(fb_text in)
{
    catalog *c = NULL;
    fb_error err = {.code = FB_OK};
    fb_code rc = catalog_load(in, &c, &err);
    MUST(rc == FB_OK || rc == FB_E_CATALOG || rc == FB_E_JSON || rc == FB_E_LIMIT);
    MUST(rc == FB_OK || err.message[0] != '\0');
    if (rc == FB_OK) {
        (void)catalog_extends(base, c, NULL);
        accepted(NULL, c);
    }
}

static void module(fb_text in)
{
    buf text;
    catalog *c = NULL;
    fb_error err = {.code = FB_OK};
    buf_init(&text, CATALOG_BYTES_MAX);
    fb_code rc = catalog_add(base, in, &text, &err);
    MUST(rc == FB_OK || rc == FB_E_CATALOG || rc == FB_E_JSON || rc == FB_E_LIMIT);
    MUST(rc == FB_OK || err.message[0] != '\0');
    if (rc == FB_OK) {
        MUST_OK(catalog_load(buf_text(&text), &c, &err));
        MUST(c->version == base->version + 1);
        MUST_OK(catalog_extends(base, c, &err));
        accepted(base, c);
    }
    buf_clear(&text);
}

void fuzz_run(fb_text in)
{
    if (take_byte(&in) == 'm') {
        module(in);
    } else {
        whole(in);
    }
}

void fuzz_seeds(void)
{
    seed_whole("c", "schema/vectors/catalog.json");
    seed_put(text_of(
        "m{\"module\":\"acme\",\"entities\":[{\"name\":\"fridge\",\"label\":{\"en\":\"F\",\"zh\":"
        "\"冰柜\"},\"class\":\"shared\",\"stamps\":true,\"scope\":[{\"by\":\"parent\",\"column\":"
        "\"customer_id\"}],\"columns\":[{\"name\":\"customer_id\",\"label\":{\"en\":\"c\",\"zh\":"
        "\"客\"},\"type\":\"ref\",\"to\":\"customer\"},{\"name\":\"state\",\"label\":{\"en\":\"s\","
        "\"zh\":\"态\"},\"type\":\"enum\",\"values\":[\"new\",\"old\"],\"policy\":\"SM\","
        "\"default\""
        ":\"new\"}],\"indexes\":[[\"customer_id\"]],\"states\":{\"column\":\"state\",\"initial\":["
        "\"new\"],\"transitions\":[{\"from\":\"new\",\"to\":\"old\",\"device\":true}]},\"grants\":{"
        "\"REP\":\"crud\"}}],\"extend\":[{\"entity\":\"customer\",\"columns\":[{\"name\":"
        "\"fridge_count\",\"label\":{\"en\":\"n\",\"zh\":\"数\"},\"type\":\"int32\",\"min\":0,"
        "\"max\":9}]}]}"));
    seed_put(text_of("m{\"module\":\"x\",\"extend\":[{\"entity\":\"customer\",\"columns\":[{"
                     "\"name\":\"memo\",\"label\":{\"en\":\"n\",\"zh\":\"数\"},\"type\":\"text\","
                     "\"max\":20,\"personal\":true}]}]}"));
}
