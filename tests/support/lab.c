/* lab.c - see lab.h. */
#include "support/lab.h"

#include <stdio.h>

#include <unistd.h>

#include "schema/limits.h"

/* --- the port ------------------------------------------------------------------------ */

static uint64_t mono(void *ctx)
{
    return (uint64_t)((lab *)ctx)->wall_ms;
}

static int64_t wall(void *ctx)
{
    return ((lab *)ctx)->wall_ms;
}

uint64_t lab_random(lab *l)
{
    uint64_t z = (l->random += UINT64_C(0x9E3779B97F4A7C15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static fb_code fill(void *ctx, void *out, size_t size)
{
    uint8_t *to = out;
    for (size_t i = 0; i < size; i++) {
        to[i] = (uint8_t)lab_random(ctx);
    }
    return FB_OK;
}

fb_id lab_id(unsigned n)
{
    fb_id id = {{0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0}};
    id.b[13] = (uint8_t)(n >> 16);
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

/* --- the catalogue ------------------------------------------------------------------- */

/* clang-format off */
static const char module_item[] =
    "{\"module\":\"lab\",\"entities\":[{\"name\":\"lab_item\",\"label\":{\"en\":\"Item\",\"zh\":\"项目\"},"
    "\"class\":\"shared\",\"stamps\":true,\"scope\":[{\"by\":\"global\"}],\"columns\":["
    "{\"name\":\"name\",\"type\":\"text\",\"max\":60,\"label\":{\"en\":\"Name\",\"zh\":\"名称\"}},"
    "{\"name\":\"note\",\"type\":\"text\",\"max\":65536,\"label\":{\"en\":\"Note\",\"zh\":\"备注\"}},"
    "{\"name\":\"qty\",\"type\":\"int64\",\"min\":-1000000,\"max\":1000000,\"policy\":\"DELTA\",\"label\":{\"en\":\"Quantity\",\"zh\":\"数量\"}},"
    "{\"name\":\"parent_id\",\"type\":\"ref\",\"to\":\"lab_item\",\"label\":{\"en\":\"Parent\",\"zh\":\"上级\"}}],"
    "\"indexes\":[[\"name\"],[\"parent_id\"]],\"grants\":{\"LAB\":\"cruda\"}}]}";
static const char module_more[] =
    "{\"module\":\"lab_extra\",\"entities\":[{\"name\":\"lab_more\",\"label\":{\"en\":\"More\",\"zh\":\"更多\"},"
    "\"class\":\"reference\",\"scope\":[{\"by\":\"global\"}],\"columns\":["
    "{\"name\":\"title\",\"type\":\"text\",\"label\":{\"en\":\"Title\",\"zh\":\"标题\"}}],\"grants\":{\"LAB\":\"r\"}}],"
    "\"extend\":[{\"entity\":\"lab_item\",\"columns\":["
    "{\"name\":\"extra\",\"type\":\"text\",\"label\":{\"en\":\"Extra\",\"zh\":\"附加\"}}]}]}";
/* clang-format on */

static buf add_module(fb_text base_text, const char *module)
{
    buf out;
    catalog *base = NULL;
    fb_error err = {.code = FB_OK};
    buf_init(&out, CATALOG_BYTES_MAX);
    if (catalog_load(base_text, &base, &err) != FB_OK ||
        catalog_add(base, text_of(module), &out, &err) != FB_OK) {
        fail_msg("catalogue: %s: %s", err.field, err.message);
    }
    catalog_free(base);
    return out;
}

buf lab_catalog(bool more)
{
    buf two = add_module(catalog_builtin_text(), module_item);
    if (!more) {
        return two;
    }
    buf three = add_module(buf_text(&two), module_more);
    buf_clear(&two);
    return three;
}

void lab_find_columns(lab *l)
{
    l->item = catalog_entity_str(replica_catalog(l->r), "lab_item");
    assert_non_null(l->item);
    l->name = cat_column_str(l->item, "name");
    l->note = cat_column_str(l->item, "note");
    l->qty = cat_column_str(l->item, "qty");
    l->parent = cat_column_str(l->item, "parent_id");
}

/* --- life ---------------------------------------------------------------------------- */

static void remove_files(const lab *l)
{
    static const char *const ends[] = {"",         "-wal",  "-shm",     "-outbox1",
                                       "-outbox2", "-sync", "-reserve", "-broken"};
    char name[160];
    for (size_t i = 0; l->vfs == NULL && i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", l->path, ends[i]);
        (void)unlink(name);
    }
}

void lab_port(lab *l)
{
    l->port = (fb_port){.ctx = l, .mono_ms = mono, .wall_ms = wall, .random = fill};
}

void lab_init(lab *l, const char *path, const char *vfs, uint64_t seed)
{
    *l = (lab){.wall_ms = LAB_WALL_MS, .random = seed, .vfs = vfs};
    snprintf(l->path, sizeof l->path, "%s", path);
    lab_port(l);
    l->user = lab_id(0xF00001);
    l->device = lab_id(0xF00002);
    l->role = lab_id(0xF00003);
    l->epoch = lab_id(0xE00001);
    remove_files(l);
}

fb_code lab_open(lab *l, fb_error *err)
{
    const replica_options o = {
        .path = l->path, .port = &l->port, .vfs = l->vfs, .files = l->files, .create = true};
    return replica_open(&o, &l->r, err);
}

void lab_reopen(lab *l)
{
    fb_error err = {.code = FB_OK};
    lab_close(l);
    if (lab_open(l, &err) != FB_OK) {
        fail_msg("open: %s: %s", err.field, err.message);
    }
    lab_find_columns(l);
}

void lab_close(lab *l)
{
    replica_close(l->r);
    l->r = NULL;
}

void lab_stop(lab *l)
{
    lab_close(l);
    remove_files(l);
}

void lab_enrol(lab *l)
{
    replica_identity me = {
        .device = l->device, .user = l->user, .epoch = l->epoch, .enrolled = true};
    snprintf(me.device_code, sizeof me.device_code, "A1");
    snprintf(me.user_code, sizeof me.user_code, "rep1");
    assert_int_equal(replica_identity_set(l->r, &me), FB_OK);
}

static void put_block(lab *l, buf *out, const char *entity, fb_value *values)
{
    int columns[CATALOG_COLUMNS_LIMIT];
    const cat_entity *e = catalog_entity_str(replica_catalog(l->r), entity);
    for (uint32_t i = 0; i < e->columns_count; i++) {
        columns[i] = (int)i;
    }
    values[cat_ver_column(e)] = (fb_value){.kind = FB_KIND_INT, .u.i = 1};
    block_head_put(out, e, BLOCK_ROW, columns, e->columns_count);
    row_put(out, e, columns, e->columns_count, values);
}

static fb_value of_text(const char *s)
{
    return s != NULL ? (fb_value){.kind = FB_KIND_TEXT, .u.text = text_of(s)}
                     : (fb_value){.kind = FB_KIND_NULL};
}

static fb_value of_id(fb_id id)
{
    return (fb_value){.kind = FB_KIND_ID, .u.id = id};
}

void reply_rights(lab *l, buf *out)
{
    reply_role(l, out, "LAB");
}

void reply_role(lab *l, buf *out, const char *code)
{
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    const cat_entity *role = catalog_entity_str(replica_catalog(l->r), "role");
    const cat_entity *user_role = catalog_entity_str(replica_catalog(l->r), "user_role");
    values[0] = of_id(l->role);
    values[cat_column_str(role, "code")] = of_text(code);
    values[cat_column_str(role, "name")] = of_text("Lab");
    put_block(l, out, "role", values);
    memset(values, 0, sizeof values);
    values[0] = of_id(lab_id(0xF00004));
    values[cat_column_str(user_role, "user_id")] = of_id(l->user);
    values[cat_column_str(user_role, "role_id")] = of_id(l->role);
    put_block(l, out, "user_role", values);
}

void lab_first_sync(lab *l)
{
    buf out;
    buf more = lab_catalog(false);
    reply_begin(l, &out, 0, 0, 1);
    catalog_line_put(&out, buf_text(&more));
    reply_page(&out, "0.1", true, false);
    reply_rights(l, &out);
    stage_result got = reply_take(l, &out);
    assert_true(got.complete && got.promoted && got.catalog_changed);
    buf_clear(&more);
    lab_find_columns(l);
}

const char *lab_path(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "/tmp/fb_test_%s_%d.db", name, (int)getpid());
    return path;
}

void lab_start(lab *l, const char *path, uint64_t seed)
{
    fb_error err = {.code = FB_OK};
    lab_init(l, path, NULL, seed);
    if (lab_open(l, &err) != FB_OK) {
        fail_msg("open: %s: %s", err.field, err.message);
    }
    lab_enrol(l);
    lab_first_sync(l);
}

/* --- replies ------------------------------------------------------------------------- */

void reply_begin(lab *l, buf *out, int64_t applied, int64_t backed_up, int64_t head)
{
    const sync_reply m = {.protocol = PROTOCOL_VERSION,
                          .epoch = l->epoch,
                          .server_wall_ms = l->wall_ms,
                          .applied = applied,
                          .backed_up = backed_up,
                          .head = head};
    buf_init(out, PAGE_BYTES_MAX);
    sync_reply_put(out, &m);
}

void reply_verdict(buf *out, int64_t gseq, verdict_code code, bool echo)
{
    verdict_msg v = {.gseq = gseq, .code = code, .echo = echo, .cid = gseq};
    if (code == VERDICT_REJECTED || code == VERDICT_HELD || code == VERDICT_BLOCKED) {
        v.cid = 0;
        v.error = FB_E_INVALID;
        v.field = T("lab_item.name");
        v.text_en = T("not so");
        v.text_zh = T("不可以");
        v.cure_en = T("change it");
        v.cure_zh = T("请修改");
        v.who = T("MGR");
    }
    verdict_put(out, &v);
}

void reply_page(buf *out, const char *token, bool complete, bool reset)
{
    const page_head m = {.token = text_of(token), .complete = complete, .reset = reset};
    page_head_put(out, &m);
}

void reply_row(lab *l, buf *out, unsigned id, const char *name, const char *note, int64_t qty,
               int64_t ver)
{
    const int columns[] = {0, l->name, l->note, l->qty, cat_ver_column(l->item)};
    const fb_value values[] = {of_id(lab_id(id)),
                               of_text(name),
                               of_text(note),
                               {.kind = FB_KIND_INT, .u.i = qty},
                               {.kind = FB_KIND_INT, .u.i = ver}};
    block_head_put(out, l->item, BLOCK_ROW, columns, 5);
    row_put(out, l->item, columns, 5, values);
}

void reply_gone(lab *l, buf *out, block_kind kind, unsigned id)
{
    const int columns[] = {0};
    const fb_value values[] = {of_id(lab_id(id))};
    block_head_put(out, l->item, kind, columns, 1);
    row_put(out, l->item, columns, 1, values);
}

fb_code reply_try(lab *l, buf *out, stage_result *result, fb_error *err)
{
    sync_end_put(out);
    assert_int_equal(out->code, FB_OK);
    fb_code rc = stage_reply(l->r, buf_text(out), l->wall_ms, result, err);
    buf_clear(out);
    return rc;
}

stage_result reply_take(lab *l, buf *out)
{
    stage_result result = {.complete = false};
    fb_error err = {.code = FB_OK};
    if (reply_try(l, out, &result, &err) != FB_OK) {
        fail_msg("reply: %s: %s: %s", fb_code_name(err.code), err.field, err.message);
    }
    return result;
}

/* --- captures ------------------------------------------------------------------------ */

static void must(fb_code rc, const fb_error *err)
{
    if (rc != FB_OK) {
        fail_msg("%s: %s: %s", fb_code_name(rc), err->field, err->message);
    }
}

void lab_begin(lab *l, const char *kind)
{
    fb_error err = {.code = FB_OK};
    l->wall_ms += 1000;
    must(capture_begin(l->r, kind, 0, 0, &err), &err);
}

int64_t lab_commit(lab *l)
{
    fb_error err = {.code = FB_OK};
    int64_t gseq = -1;
    must(capture_commit(l->r, &gseq, &err), &err);
    return gseq;
}

void lab_insert(lab *l, unsigned id, const char *name, int64_t qty)
{
    fb_error err = {.code = FB_OK};
    fb_value values[CATALOG_COLUMNS_LIMIT] = {{.kind = FB_KIND_NULL}};
    values[0] = of_id(lab_id(id));
    values[l->name] = of_text(name);
    values[l->qty] = (fb_value){.kind = FB_KIND_INT, .u.i = qty};
    must(capture_insert(l->r, l->item, values, &err), &err);
}

void lab_set(lab *l, unsigned id, int column, const char *text)
{
    fb_error err = {.code = FB_OK};
    fb_id row = lab_id(id);
    fb_value value = of_text(text);
    must(capture_update(l->r, l->item, &row, &column, &value, 1, &err), &err);
}

int64_t lab_save(lab *l, unsigned id, const char *name, int64_t qty)
{
    lab_begin(l, "lab.save");
    lab_insert(l, id, name, qty);
    return lab_commit(l);
}

int64_t lab_change(lab *l, unsigned id, int column, const char *text)
{
    lab_begin(l, "lab.change");
    lab_set(l, id, column, text);
    return lab_commit(l);
}

/* --- looking ------------------------------------------------------------------------- */

static fb_code read_item(lab *l, unsigned id, arena *memory, fb_value *values)
{
    fb_id row = lab_id(id);
    return row_read(l->r, l->item, &row, memory, values);
}

bool lab_has(lab *l, unsigned id)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    fb_code rc = read_item(l, id, memory, values);
    arena_free(memory);
    assert_true(rc == FB_OK || rc == FB_E_NOT_FOUND);
    fb_id asked = lab_id(id);
    return rc == FB_OK && id_equal(&values[0].u.id, &asked); /* not the row it is an alias of */
}

const char *lab_text(lab *l, unsigned id, int column)
{
    static char text[2048];
    fb_value values[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    assert_int_equal(read_item(l, id, memory, values), FB_OK);
    fb_text t = values[column].kind == FB_KIND_TEXT ? values[column].u.text : T("");
    snprintf(text, sizeof text, "%.*s", (int)t.size, t.data);
    arena_free(memory);
    return text;
}

int64_t lab_qty(lab *l, unsigned id)
{
    fb_value values[CATALOG_COLUMNS_LIMIT];
    arena *memory = arena_new(1 << 20);
    assert_int_equal(read_item(l, id, memory, values), FB_OK);
    int64_t qty = values[l->qty].u.i;
    arena_free(memory);
    return qty;
}

int64_t lab_count(lab *l, const char *sql)
{
    bool row = false;
    sql_stmt *s = sql_prepare(replica_sql(l->r), sql);
    assert_non_null(s);
    assert_int_equal(sql_step(s, &row), FB_OK);
    assert_true(row);
    int64_t n = sql_int(s, 0);
    sql_reset(s);
    return n;
}

void lab_check(lab *l)
{
    fb_error err = {.code = FB_OK};
    if (replica_check(l->r, &err) != FB_OK) {
        fail_msg("check: %s: %s", err.field, err.message);
    }
}
