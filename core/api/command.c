/* command.c - every operation by name: the table, dispatch, and lists of commands as one group.
 * See fieldbook/command.h. */
#include "fieldbook/command.h"

#include <stdio.h>
#include <string.h>

#include "api/command_inside.h"

enum { GROUP_COMMANDS_MAX = 500, WORD_BYTES_MAX = 64 };

typedef struct command {
    fb_command_info info;
    command_fn run;
} command;

#define ORDER_HEAD \
    "at date requested_date visit price_list ship_to currency header_discount freight note remark"

/* clang-format off */
static const command COMMANDS[] = {
    {{"customer.find", "", "text lat lon radius limit", "customers by code, name, pinyin, phone, or nearby", false}, cmd_customer_find},
    {{"customer.show", "customer", "", "one customer", false}, cmd_customer_show},
    {{"customer.360", "customer", "", "everything about one customer", false}, cmd_customer_360},
    {{"customer.add", "data", "", "a new customer", true}, cmd_customer_add},
    {{"customer.set", "customer data", "", "change a customer; guarded columns become a request", true}, cmd_customer_set},
    {{"visit.check_in", "customer", "lat lon accuracy mock at plan kind reason note", "begin a visit", true}, cmd_visit_check_in},
    {{"visit.action", "action", "visit status at ref note", "record what was done on a visit", true}, cmd_visit_action},
    {{"visit.check_out", "", "visit at lat lon no_sale_reason next_visit_date note", "end a visit", true}, cmd_visit_check_out},
    {{"visit.cancel", "reason", "visit", "cancel an open visit", true}, cmd_visit_cancel},
    {{"visit.open", "", "", "the open visit, or null", false}, cmd_visit_open},
    {{"order.new", "customer", ORDER_HEAD, "begin a draft", true}, cmd_order_new},
    {{"order.line", "order qty", "product uom discount price free reason promo line_no", "add a line to a draft, or change one", true}, cmd_order_line},
    {{"order.remove_line", "order line_no", "", "take a line out of a draft", true}, cmd_order_remove_line},
    {{"order.show", "order", "", "a draft or an order with its lines", false}, cmd_order_show},
    {{"order.submit", "", "order customer lines " ORDER_HEAD, "submit a draft, or a whole order at once", true}, cmd_order_submit},
    {{"order", "customer lines", ORDER_HEAD, "short for order.submit", true}, cmd_order_submit},
    {{"order.discard", "order", "", "throw a draft away", true}, cmd_order_discard},
    {{"order.cancel", "order reason", "", "ask to cancel a submitted order", true}, cmd_order_cancel},
    {{"order.drafts", "", "", "stored drafts", false}, cmd_order_drafts},
    {{"payment.add", "customer amount", "method currency ref_no at visit allocations note", "money collected", true}, cmd_payment_add},
    {{"activity.add", "customer subject", "type direction content result next_action next_at at duration contact", "log a contact", true}, cmd_activity_add},
    {{"activity.correct", "activity data", "", "supersede a logged contact", true}, cmd_activity_correct},
    {{"activity.void", "activity reason", "", "declare a logged contact void", true}, cmd_activity_void},
    {{"task.add", "title", "kind priority due customer assignee at", "a new task", true}, cmd_task_add},
    {{"task.done", "task", "result at", "finish a task", true}, cmd_task_done},
    {{"attachment.add", "file", "thumb visit order payment customer kind media_type at lat lon signer note", "a photo, signature or document; without an owner: of the open visit", true}, cmd_attachment_add},
    {{"attachment.show", "attachment", "", "where its bytes are", false}, cmd_attachment_show},
    {{"attachment.want", "attachment", "thumbnail metered", "fetch its bytes with the next synchronisation", false}, cmd_attachment_want},
    {{"attachment.free", "", "keep_mib", "remove originals that the server can give again", false}, cmd_attachment_free},
    {{"attachment.count", "", "", "bytes here, unsent, wanted", false}, cmd_attachment_count},
    {{"problem.list", "", "", "groups that were not accepted", false}, cmd_problem_list},
    {{"parked.list", "", "", "records that left while your work on them is open", false}, cmd_parked_list},
    {{"warning.list", "", "", "pending work that cannot be shown on its records", false}, cmd_warning_list},
    {{"problem.show", "gseq", "", "one of them, with its rows and the server's answer", false}, cmd_problem_show},
    {{"problem.resubmit", "gseq", "patches", "send it again, corrected", true}, cmd_problem_resubmit},
    {{"problem.discard", "gseq", "", "give it up", true}, cmd_problem_discard},
    {{"conflict.list", "", "all", "columns that two people changed", false}, cmd_conflict_list},
    {{"held.list", "", "all", "work of others that waits for a decision", false}, cmd_held_list},
    {{"held.show", "held", "", "one of them, with what was done", false}, cmd_held_show},
    {{"held.accept", "held", "reason", "let it stand", true}, cmd_held_accept},
    {{"held.reject", "held reason", "", "refuse it; its author reads the reason", true}, cmd_held_reject},
    {{"record.get", "entity id", "", "any record", false}, cmd_record_get},
    {{"record.put", "entity data", "", "insert or change any record", true}, cmd_record_put},
    {{"record.delete", "entity id", "", "delete a record", true}, cmd_record_delete},
    {{"record.add", "entity id column difference", "", "add to a counter", true}, cmd_record_add},
    {{"query", "sql", "params", "read-only SQL", false}, cmd_query},
    {{"status", "", "", "what is unsent, refused, waiting", false}, cmd_status},
    {{"entity.list", "", "entity", "the catalogue", false}, cmd_entity_list},
};
/* clang-format on */

enum { COMMANDS_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

fb_code fb_command_each(fb_command_fn fn, void *ctx)
{
    FB_REQUIRE(fn != NULL);
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        FB_TRY(fn(ctx, &COMMANDS[i].info));
    }
    return FB_OK;
}

static const command *command_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < COMMANDS_COUNT; i++) {
        if (strcmp(COMMANDS[i].info.name, name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

/* --- checking arguments against the table --------------------------------------------------------
 */

static bool next_word(const char **at, char out[WORD_BYTES_MAX])
{
    size_t size = 0;

    *at += strspn(*at, " ");
    size = strcspn(*at, " ");
    FB_ASSERT(size < WORD_BYTES_MAX);
    memcpy(out, *at, size);
    out[size] = '\0';
    *at += size;
    return size > 0;
}

static bool has_word(const char *words, fb_text word)
{
    char one[WORD_BYTES_MAX];

    while (next_word(&words, one)) {
        if (text_is(word, one)) {
            return true;
        }
    }
    return false;
}

static fb_code check_args(command_call *c, const fb_command_info *info)
{
    char word[WORD_BYTES_MAX];
    const char *required = info->required;

    for (uint32_t i = 0; i < c->args_count; i++) {
        fb_text name = c->args[i].name;
        if (!has_word(info->required, name) && !has_word(info->optional, name)) {
            return arg_wrong(c, name.data, FB_E_INVALID,
                             "the command has no such argument: correct the name");
        }
    }
    while (next_word(&required, word)) {
        const char *text = arg_text(c, word);
        if (text == NULL || text[0] == '\0') {
            return arg_wrong(c, word, FB_E_REQUIRED, "the argument is missing: give it");
        }
    }
    return FB_OK;
}

fb_code view_run(command_call *c, command_fn fn)
{
    bool own = false;
    fb_code rc = replica_view_begin(c->db->r, &own);

    if (rc == FB_OK) {
        rc = fn(c);
    }
    replica_view_end(c->db->r, own);
    return rc;
}

static fb_code run_one(command_call *c, const char *name, fb_text args_json)
{
    const command *cmd = command_find(name);

    if (cmd == NULL) {
        return fail(c->err, FB_E_NOT_FOUND, "op",
                    "there is no such command: see the list of commands");
    }
    FB_TRY(args_read(c, args_json));
    FB_TRY(check_args(c, &cmd->info));
    FB_TRY(cmd->run(c));
    return c->w->out->code;
}

fb_code fb_command_run(fb_db *db, const char *name, const char *args_json, char **json_out,
                       fb_error *err)
{
    buf out;
    json_writer w;

    FB_REQUIRE(db != NULL && json_out != NULL);
    api_clear(err);
    command_call c = {.db = db, .memory = arena_new(CALL_BYTES_MAX), .w = &w, .err = err};
    buf_init(&out, JSON_OUT_BYTES_MAX);
    json_writer_init(&w, &out);
    fb_code rc = c.memory == NULL
                     ? FB_E_NO_MEMORY
                     : run_one(&c, name, text_of(args_json == NULL ? "{}" : args_json));
    if (rc == FB_OK) {
        rc = api_text_out(&out, json_out);
    }
    buf_clear(&out);
    arena_free(c.memory);
    return api_said(db, rc, err);
}

/* --- a list as one group
 * -------------------------------------------------------------------------- */

typedef struct group_call {
    command_call head;
    int64_t at_ms;
    const char *kind;
    fb_text ops;
} group_call;

static fb_code read_group(group_call *g, fb_text json)
{
    command_call *c = &g->head;
    static const fb_command_info SHAPE = {"group", "ops", "at kind", "", true};

    FB_TRY(args_read(c, json));
    FB_TRY(check_args(c, &SHAPE));
    FB_TRY(arg_instant(c, "at", &g->at_ms));
    g->kind = arg_text(c, "kind");
    g->ops = text_of(arg_text(c, "ops"));
    return FB_OK;
}

/* "op" names the command; the rest are its arguments. */
static fb_code split_op(command_call *c, fb_text json, const char **name_out)
{
    uint32_t kept = 0;

    FB_TRY(args_read(c, json));
    *name_out = arg_text(c, "op");
    for (uint32_t i = 0; i < c->args_count; i++) {
        if (!text_is(c->args[i].name, "op")) {
            c->args[kept++] = c->args[i];
        }
    }
    c->args_count = kept;
    return FB_OK;
}

static fb_code run_op(command_call *c, fb_text json)
{
    const char *name = NULL;

    FB_TRY(split_op(c, json, &name));
    const command *cmd = command_find(name);
    if (cmd == NULL || !cmd->info.writes) {
        return fail(c->err, FB_E_NOT_FOUND, "op",
                    "a group holds writing commands only: see the list of commands");
    }
    FB_TRY(check_args(c, &cmd->info));
    FB_TRY(cmd->run(c));
    return c->w->out->code;
}

/* The failing operation's place goes before the field: "ops[1].customer". */
static void name_op(fb_error *err, uint32_t i)
{
    char field[sizeof err->field];

    if (err != NULL) {
        memcpy(field, err->field, sizeof field);
        (void)snprintf(err->field, sizeof err->field, "ops[%u]%s%.80s", i,
                       field[0] != '\0' ? "." : "", field);
    }
}

static fb_code run_ops(group_call *g)
{
    json_reader r;
    uint32_t i = 0;
    command_call c = g->head;

    json_reader_init(&r, g->ops, c.memory);
    if (json_peek(&r) != JSON_ARRAY) {
        return arg_wrong(&c, "ops", FB_E_JSON, "a list of operations is expected: correct it");
    }
    json_array_begin(&r);
    while (json_array_next(&r)) {
        fb_text op = json_raw(&r);
        if (r.code != FB_OK || i == GROUP_COMMANDS_MAX) {
            break;
        }
        fb_code rc = run_op(&c, op);
        if (rc != FB_OK) {
            rc = api_said(c.db, rc, c.err);
            name_op(c.err, i);
            return rc;
        }
        i++;
    }
    return json_finish(&r) == FB_OK
               ? FB_OK
               : arg_wrong(&c, "ops", FB_E_JSON,
                           "the list is not strict JSON or too long: correct it");
}

static fb_code run_group(group_call *g, int64_t *gseq_out)
{
    fb_db *db = g->head.db;

    FB_TRY(fb_group_begin(db, g->kind, g->at_ms, g->head.err));
    fb_code rc = run_ops(g);
    if (rc != FB_OK) {
        fb_group_abort(db);
        return rc;
    }
    return fb_group_commit(db, gseq_out, g->head.err);
}

static void put_group(buf *out, int64_t gseq, const buf *results)
{
    json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_key(&w, "gseq");
    json_put_int_string(&w, gseq);
    json_put_key(&w, "results");
    json_put_raw(&w, buf_text(results));
    json_put_end(&w);
}

fb_code fb_command_group(fb_db *db, const char *group_json, char **json_out, fb_error *err)
{
    buf results;
    buf out;
    json_writer w;
    int64_t gseq = 0;

    FB_REQUIRE(db != NULL && group_json != NULL && json_out != NULL);
    api_clear(err);
    group_call g = {.head = {.db = db, .memory = arena_new(CALL_BYTES_MAX), .w = &w, .err = err}};
    buf_init(&results, JSON_OUT_BYTES_MAX);
    buf_init(&out, JSON_OUT_BYTES_MAX);
    json_writer_init(&w, &results);
    json_put_array(&w);
    fb_code rc = g.head.memory == NULL ? FB_E_NO_MEMORY : read_group(&g, text_of(group_json));
    if (rc == FB_OK && (rc = run_group(&g, &gseq)) == FB_OK) {
        json_put_end(&w);
        put_group(&out, gseq, &results);
        rc = api_text_out(&out, json_out);
    }
    buf_clear(&results);
    buf_clear(&out);
    arena_free(g.head.memory);
    return api_said(db, rc, err);
}
