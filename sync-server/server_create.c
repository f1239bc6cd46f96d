/* server_create.c - the database of a new company (server_create, see server.h).
 *
 * Everything people see is written by one commit of the ledger, so that it is in the feed and the
 * audit like any other row: roles with the catalogue's grants as permissions ("customer.create"),
 * settings, labels of codes, the root org_unit, the first person. */
#include "sync-server/server_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "rules/row_check.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/store/fill.h"

enum { CREATE_BYTES_MAX = 64 << 20, CREATE_ROWS_MAX = 20000 };

/* clang-format off */
static const struct {
    const char *code, *name, *data_scope;
} ROLES[] = {
    {"REP",  "Sales representative 业务员", "self"},
    {"MGR",  "Sales manager 销售经理",      "region"},
    {"SVC",  "Customer service 客服",       "region"},
    {"SVCM", "Service manager 客户服务部",  "all"},
    {"MKT",  "Marketing 市场部",            "all"},
    {"RES",  "Market research 市场调研",    "self"},
    {"DATA", "Data steward 信息管理员",     "all"},
    {"FIN",  "Finance 财务人员",            "all"},
    {"FINM", "Finance manager 财务经理",    "all"},
    {"GM",   "General manager 总经理",      "all"},
    {"PM",   "Project manager 项目经理",    "region"},
    {"REV",  "Project review 项目审核",     "region"},
    {"DEPT", "Department manager 部门经理", "region"},
    {"TECH", "Technical manager 技术部门",  "region"},
    {"OPS",  "Operations 经营服务部",       "all"},
    {"IT",   "System administrator 系统管理员", "all"},
};

static const struct {
    const char *key, *value, *description;
} SETTINGS[] = {
    {"order.discount_max_bp", "10000", "largest discount of a line or an order, in 1/100 %"},
    {"order.price_override",  "1",     "may a price other than the list's be entered, with a reason"},
    {"order.credit_check",    "1",     "hold orders over the credit limit, and of pending customers unless paid in cash"},
};

static const struct {
    const char *list, *code, *zh, *en;
} LABELS[] = {
    {"customer.party_type", "prospect", "潜在客户", "Prospect"}, {"customer.party_type", "customer", "客户", "Customer"},
    {"customer.party_type", "distributor", "分销商", "Distributor"}, {"customer.party_type", "partner", "合作伙伴", "Partner"},
    {"customer.channel", "direct", "直营", "Direct"}, {"customer.channel", "distributor", "分销", "Distributor"},
    {"customer.channel", "retail", "零售", "Retail"}, {"customer.channel", "ka", "重点客户", "Key account"},
    {"customer.channel", "horeca", "餐饮", "Hotel, restaurant, café"}, {"customer.channel", "online", "线上", "Online"},
    {"visit.no_sale_reason", "closed", "店铺关门", "Shop closed"}, {"visit.no_sale_reason", "owner_absent", "老板不在", "Owner absent"},
    {"visit.no_sale_reason", "credit", "欠款", "Credit"}, {"visit.no_sale_reason", "no_need", "不需要", "No need"},
    {"visit.no_sale_reason", "out_of_stock", "缺货", "Out of stock"}, {"visit.no_sale_reason", "competitor", "竞品", "Competitor"},
    {"visit.no_sale_reason", "price", "价格", "Price"}, {"visit.no_sale_reason", "other", "其他", "Other"},
    {"payment.method", "cash", "现金", "Cash"}, {"payment.method", "transfer", "转账", "Transfer"},
    {"payment.method", "cheque", "支票", "Cheque"}, {"payment.method", "wechat", "微信", "WeChat Pay"},
    {"payment.method", "alipay", "支付宝", "Alipay"}, {"payment.method", "card", "银行卡", "Card"},
    {"payment.method", "credit_note", "贷项通知", "Credit note"},
    {"sales_order.kind", "presale", "预售", "Pre-sale"}, {"sales_order.kind", "van_sale", "车销", "Van sale"},
    {"sales_order.kind", "sample", "样品", "Sample"}, {"sales_order.kind", "return_exchange", "退换货", "Return or exchange"},
    {"sales_order.kind", "standing", "长期订单", "Standing order"},
};
/* clang-format on */
enum { ROLES_COUNT = sizeof ROLES / sizeof ROLES[0] };

/* The company under construction. */
typedef struct creation {
    const server_create_options *o;
    store *db;
    const catalog *cat;
    arena *memory;
    id_maker ids;
    int64_t now_ms;
    change *changes;
    uint32_t count;
    fb_id roles[ROLES_COUNT];
    fb_error *err;
} creation;

/* A new row of the entity, put among the changes; NULL: no such entity, or no room. */
static fb_value *row_new(creation *c, const char *entity, fb_id *id_out)
{
    const cat_entity *e = catalog_entity_str(c->cat, entity);
    if (e == NULL || c->count == CREATE_ROWS_MAX) {
        return NULL;
    }
    fb_id id = id_make(&c->ids, c->now_ms);
    fb_value *row = fill_row(e, &id, c->memory);
    if (row != NULL) {
        c->changes[c->count++] = (change){.kind = CHANGE_INSERT,
                                          .entity = e,
                                          .id = id,
                                          .values = row,
                                          .columns_count = e->columns_count};
        if (id_out != NULL) {
            *id_out = id;
        }
    }
    return row;
}

static const cat_entity *last_entity(const creation *c)
{
    return c->changes[c->count - 1].entity;
}

static void permission_new(creation *c, const fb_id *role, const cat_entity *e, const char *verb,
                           bool granted)
{
    buf text;
    fb_value *row = granted ? row_new(c, "role_permission", NULL) : NULL;
    if (row == NULL) {
        return;
    }
    buf_init(&text, 128);
    buf_put_text(&text, e->name);
    buf_printf(&text, ".%s", verb);
    fill_id(last_entity(c), row, "role_id", role);
    fill_text(last_entity(c), row, "permission", arena_text(c->memory, buf_text(&text)));
    buf_clear(&text);
}

static void permissions_new(creation *c, const char *code, const fb_id *role)
{
    for (uint32_t i = 0; i < c->cat->entities_count; i++) {
        const cat_entity *e = &c->cat->entities[i];
        for (uint32_t g = 0; g < e->grants_count; g++) {
            const cat_grant *grant = &e->grants[g];
            if (text_is(grant->role, code)) {
                permission_new(c, role, e, "create", grant->create);
                permission_new(c, role, e, "read", grant->read);
                permission_new(c, role, e, "update", grant->update);
                permission_new(c, role, e, "delete", grant->remove);
                permission_new(c, role, e, "approve", grant->approve);
            }
        }
    }
}

static void roles_new(creation *c)
{
    for (size_t i = 0; i < ROLES_COUNT; i++) {
        fb_value *row = row_new(c, "role", &c->roles[i]);
        if (row != NULL) {
            fill_str(last_entity(c), row, "code", ROLES[i].code);
            fill_str(last_entity(c), row, "name", ROLES[i].name);
            fill_str(last_entity(c), row, "data_scope", ROLES[i].data_scope);
            permissions_new(c, ROLES[i].code, &c->roles[i]);
        }
    }
}

static void settings_new(creation *c)
{
    for (size_t i = 0; i < sizeof SETTINGS / sizeof SETTINGS[0]; i++) {
        fb_value *row = row_new(c, "setting", NULL);
        if (row != NULL) {
            fill_str(last_entity(c), row, "key", SETTINGS[i].key);
            fill_str(last_entity(c), row, "level", "global");
            fill_str(last_entity(c), row, "value", SETTINGS[i].value);
            fill_str(last_entity(c), row, "description", SETTINGS[i].description);
        }
    }
}

static void labels_new(creation *c)
{
    for (size_t i = 0; i < sizeof LABELS / sizeof LABELS[0]; i++) {
        fb_value *row = row_new(c, "enum_value", NULL);
        if (row != NULL) {
            fill_str(last_entity(c), row, "enum", LABELS[i].list);
            fill_str(last_entity(c), row, "code", LABELS[i].code);
            fill_str(last_entity(c), row, "label_zh", LABELS[i].zh);
            fill_str(last_entity(c), row, "label_en", LABELS[i].en);
            fill_int(last_entity(c), row, "sort", (int64_t)i);
        }
    }
}

static void company_new(creation *c, fb_id *unit)
{
    fb_value *row = row_new(c, "org_unit", unit);
    if (row != NULL) {
        fill_str(last_entity(c), row, "code", c->o->company_code);
        fill_str(last_entity(c), row, "name", c->o->company_name);
        fill_str(last_entity(c), row, "kind", "company");
    }
}

static void admin_new(creation *c, const fb_id *unit)
{
    const server_create_options *o = c->o;
    fb_id user = {{0}};
    fb_value *row = o->admin_code != NULL ? row_new(c, "app_user", &user) : NULL;
    if (row == NULL) {
        return;
    }
    fill_str(last_entity(c), row, "code", o->admin_code);
    fill_str(last_entity(c), row, "login", o->admin_login != NULL ? o->admin_login : o->admin_code);
    fill_str(last_entity(c), row, "name", o->admin_name != NULL ? o->admin_name : o->admin_code);
    fill_id(last_entity(c), row, "org_unit_id", unit);
    fill_str(last_entity(c), row, "status", "active");
    row = row_new(c, "user_role", NULL);
    if (row != NULL) {
        fill_id(last_entity(c), row, "user_id", &user);
        fill_id(last_entity(c), row, "role_id", &c->roles[ROLES_COUNT - 1]);
    }
}

/* Defaults and derived columns; then the catalogue's own rules, so that a company's code or name
 * that does not fit is refused with its field. */
static fb_code rows_complete(creation *c)
{
    row_rights all = {.create = true,
                      .read = true,
                      .update = true,
                      .remove = true,
                      .approve = true,
                      .actor = ACTOR_SERVER};
    for (uint32_t i = 0; i < c->count; i++) {
        const change *ch = &c->changes[i];
        issue why;
        fb_value *values = (fb_value *)(uintptr_t)ch->values; /* ours: row_new made it */
        FB_TRY(row_derive(ch->entity, values, c->memory));
        if (row_check_insert(ch->entity, values, &all, c->now_ms, &why) != FB_OK) {
            return issue_to_error(&why, c->err);
        }
    }
    return FB_OK;
}

static fb_code rows_write(creation *c)
{
    fb_id unit = {{0}};
    int64_t cid = 0;
    c->changes = arena_take(c->memory, CREATE_ROWS_MAX * sizeof *c->changes);
    if (c->changes == NULL) {
        return FB_E_NO_MEMORY;
    }
    company_new(c, &unit);
    roles_new(c);
    settings_new(c);
    labels_new(c);
    admin_new(c, &unit);
    FB_TRY(rows_complete(c));
    const commit_source from = {.at_ms = c->now_ms, .kind = text_of("company.create")};
    return ledger_commit(c->db, &from, c->changes, c->count, &cid);
}

static fb_code epoch_new(creation *c)
{
    fb_id epoch;
    FB_TRY(c->o->port->random(c->o->port->ctx, epoch.b, sizeof epoch.b));
    return store_meta_set(c->db, "epoch", (fb_text){(const char *)epoch.b, sizeof epoch.b});
}

static fb_code is_empty(creation *c)
{
    buf epoch;
    buf_init(&epoch, 64);
    fb_code rc = store_meta_get(c->db, "epoch", &epoch);
    buf_clear(&epoch);
    if (rc == FB_OK) {
        return fail(c->err, FB_E_EXISTS, "database",
                    "a company lives here already: choose another file");
    }
    return rc == FB_E_NOT_FOUND ? FB_OK : rc;
}

static fb_code company_write(creation *c)
{
    uint8_t random[8];
    FB_TRY(is_empty(c));
    FB_TRY(store_catalog_install(
        c->db, c->o->catalog.size > 0 ? c->o->catalog : catalog_builtin_text(), c->err));
    c->cat = store_catalog(c->db);
    FB_TRY(c->o->port->random(c->o->port->ctx, random, sizeof random));
    id_maker_init(&c->ids, random);
    FB_TRY(epoch_new(c));
    return rows_write(c);
}

static fb_code in_transaction(creation *c)
{
    FB_TRY(store_begin(c->db));
    fb_code rc = company_write(c);
    if (rc != FB_OK) {
        store_rollback(c->db);
        return rc;
    }
    return store_commit(c->db);
}

fb_code server_create(const server_create_options *o, fb_error *err)
{
    FB_REQUIRE(o != NULL && o->path != NULL && o->port != NULL && o->company_code != NULL &&
               o->company_name != NULL);
    const store_options so = {.path = o->path, .vfs = o->vfs, .create = true};
    fb_error local = {.code = FB_OK};
    creation c = {
        .o = o, .err = err != NULL ? err : &local, .now_ms = o->port->wall_ms(o->port->ctx)};
    c.err->code = FB_OK;
    FB_TRY(store_open(&so, &c.db, c.err));
    c.memory = arena_new(CREATE_BYTES_MAX);
    fb_code rc = c.memory != NULL ? in_transaction(&c) : FB_E_NO_MEMORY;
    if (rc == FB_OK) { /* whatever stood here before */
        rc = server_mark_begin(o->path, o->vfs, c.db, c.err);
    }
    if (rc != FB_OK && c.err->code != rc) {
        (void)fail(c.err, rc, "database", "the company could not be created: %s",
                   fb_code_text(rc, "en"));
    }
    arena_free(c.memory);
    store_close(c.db);
    return rc;
}
