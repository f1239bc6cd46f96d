/* entity.c - the active catalogue, for programs that show any entity. See fieldbook/record.h. */
#include "api/handle.h"

static const char *const TYPES[] = {
    [CAT_ID] = "id",       [CAT_REF] = "ref",     [CAT_TEXT] = "text",       [CAT_ENUM] = "enum",
    [CAT_DATE] = "date",   [CAT_JSON] = "json",   [CAT_BOOL] = "bool",       [CAT_INT32] = "int32",
    [CAT_BP] = "bp",       [CAT_E7] = "e7",       [CAT_INT64] = "int64",     [CAT_MINOR] = "minor",
    [CAT_PRICE] = "price", [CAT_MILLI] = "milli", [CAT_INSTANT] = "instant",
};

static void fill_column(const catalog *cat, const cat_column *c, fb_column *out)
{
    *out = (fb_column){
        .name = c->name,
        .label_en = c->label_en,
        .label_zh = c->label_zh,
        .type = text_of(TYPES[c->type]),
        .required = c->required,
        .personal = c->personal,
        .guarded = c->guarded,
        .derived = c->derived,
    };
    if (c->type == CAT_REF && c->to_entity >= 0) {
        out->to = cat->entities[c->to_entity].name;
    }
}

fb_code fb_entity_each(fb_db *db, fb_entity_fn fn, void *ctx, fb_error *err)
{
    fb_column columns[CATALOG_COLUMNS_LIMIT];
    fb_code rc = FB_OK;

    FB_REQUIRE(db != NULL && fn != NULL);
    api_clear(err);
    const catalog *cat = replica_catalog(db->r);
    for (uint32_t i = 0; i < cat->entities_count && rc == FB_OK; i++) {
        const cat_entity *e = &cat->entities[i];
        for (uint32_t k = 0; k < e->columns_count; k++) {
            fill_column(cat, &e->columns[k], &columns[k]);
        }
        fb_entity lent = {.name = e->name,
                          .module = e->module,
                          .label_en = e->label_en,
                          .label_zh = e->label_zh,
                          .device_writes = e->device_writes,
                          .columns_count = e->columns_count,
                          .columns = columns};
        rc = fn(ctx, &lent);
    }
    return api_said(db, rc, err);
}
