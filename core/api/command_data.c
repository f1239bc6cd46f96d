/* command_data.c - records, problems, conflicts, queries and status by name. See command_inside.h.
 */
#include "api/command_inside.h"

#include "base/decimal.h"

/* --- records ---------------------------------------------------------------------------------- */

fb_code cmd_record_get(command_call *c)
{
    fb_id id;
    char *json = NULL;
    const char *entity = arg_text(c, "entity");

    FB_TRY(arg_ref(c, "id", entity, &id));
    return out_json(c, fb_record_get_json(c->db, entity, &id, &json, c->err), &json);
}

fb_code cmd_record_put(command_call *c)
{
    fb_id id;

    FB_TRY(fb_record_put_json(c->db, arg_text(c, "entity"), arg_text(c, "data"), &id, c->err));
    out_id_object(c, &id);
    return FB_OK;
}

fb_code cmd_record_delete(command_call *c)
{
    fb_id id;
    const char *entity = arg_text(c, "entity");

    FB_TRY(arg_ref(c, "id", entity, &id));
    FB_TRY(fb_record_delete(c->db, entity, &id, c->err));
    out_id_object(c, &id);
    return FB_OK;
}

fb_code cmd_record_add(command_call *c)
{
    fb_id id;
    const cat_entity *e = NULL;
    fb_value v;
    const char *entity = arg_text(c, "entity");
    const char *column = arg_text(c, "column");

    FB_TRY(api_entity(c->db, entity, &e, c->err));
    int index = cat_column_str(e, column);
    if (index < 0) {
        return arg_wrong(c, "column", FB_E_INVALID,
                         "the entity has no such column: correct the name");
    }
    FB_TRY(arg_ref(c, "id", entity, &id));
    FB_TRY(cat_value_parse(e, index, text_of(arg_text(c, "difference")), true, &v, c->err));
    if (v.kind != FB_KIND_INT) {
        return arg_wrong(c, "difference", FB_E_FORMAT, "a number is expected: correct it");
    }
    FB_TRY(fb_record_add(c->db, entity, &id, column, v.u.i, c->err));
    out_id_object(c, &id);
    return FB_OK;
}

fb_code cmd_query(command_call *c)
{
    char *json = NULL;

    return out_json(
        c, fb_query_json(c->db, arg_text(c, "sql"), arg_text(c, "params"), &json, c->err), &json);
}

/* --- problems --------------------------------------------------------------------------------- */

static void put_text(json_writer *w, const char *key, fb_text t)
{
    if (t.size > 0) {
        json_put_key(w, key);
        json_put_string(w, t);
    }
}

static void put_problem_head(command_call *c, const fb_problem *p)
{
    out_int(c, "gseq", p->gseq);
    put_text(c->w, "state", p->state);
    put_text(c->w, "kind", p->kind);
    out_instant(c, "captured_at", p->captured_at_ms);
    out_text(c, "error", p->error == FB_OK ? NULL : fb_code_name(p->error));
    put_text(c->w, "field", p->field);
    put_text(c->w, "text", p->text_en);
    put_text(c->w, "text_zh", p->text_zh);
    put_text(c->w, "cure", p->cure_en);
    put_text(c->w, "cure_zh", p->cure_zh);
    put_text(c->w, "who", p->who);
    if (p->blocked_by != 0) {
        out_int(c, "blocked_by", p->blocked_by);
    }
}

static fb_code put_problem(void *ctx, const fb_problem *p)
{
    command_call *c = ctx;

    json_put_object(c->w);
    put_problem_head(c, p);
    json_put_end(c->w);
    return c->w->out->code;
}

static fb_code put_whole_problem(void *ctx, const fb_problem *p)
{
    command_call *c = ctx;

    json_put_object(c->w);
    put_problem_head(c, p);
    json_put_key(c->w, "group");
    json_put_raw(c->w, p->body);
    if (p->verdict.size > 0) {
        json_put_key(c->w, "verdict");
        json_put_raw(c->w, p->verdict);
    }
    json_put_end(c->w);
    return c->w->out->code;
}

static fb_code list_problems(command_call *c)
{
    json_put_array(c->w);
    FB_TRY(fb_problem_each(c->db, put_problem, c, c->err));
    json_put_end(c->w);
    return FB_OK;
}

fb_code cmd_problem_list(command_call *c)
{
    return view_run(c, list_problems);
}

fb_code cmd_problem_show(command_call *c)
{
    int64_t gseq = 0;

    FB_TRY(arg_int(c, "gseq", -INT64_MAX, INT64_MAX, &gseq));
    return fb_problem_get(c->db, gseq, put_whole_problem, c, c->err);
}

fb_code cmd_problem_resubmit(command_call *c)
{
    int64_t gseq = 0;
    int64_t made = 0;

    FB_TRY(arg_int(c, "gseq", -INT64_MAX, INT64_MAX, &gseq));
    FB_TRY(fb_problem_resubmit_json(c->db, gseq, arg_text(c, "patches"), &made, c->err));
    json_put_object(c->w);
    out_int(c, "gseq", made);
    out_int(c, "replaces", gseq);
    json_put_end(c->w);
    return FB_OK;
}

fb_code cmd_problem_discard(command_call *c)
{
    int64_t gseq = 0;

    FB_TRY(arg_int(c, "gseq", -INT64_MAX, INT64_MAX, &gseq));
    FB_TRY(fb_problem_discard(c->db, gseq, c->err));
    json_put_object(c->w);
    out_int(c, "gseq", gseq);
    json_put_end(c->w);
    return FB_OK;
}

/* Newest last; all of them with "all". */
fb_code cmd_conflict_list(command_call *c)
{
    bool all = false;
    sql_stmt *s = NULL;

    FB_TRY(arg_bool(c, "all", &all));
    s = sql_prepare(
        replica_sql(c->db->r),
        "SELECT x.id, x.entity, x.entity_id, k.code AS customer, x.field, x.base, x.mine, "
        "x.theirs, "
        "x.policy, x.winner, x.state, u.name AS mine_by, o.name AS theirs_by FROM conflict x "
        "LEFT JOIN customer k ON k.id = x.customer_id LEFT JOIN app_user u ON u.id = x.user_id "
        "LEFT JOIN app_user o ON o.id = x.other_user_id WHERE ?1 OR x.state <> 'resolved' ORDER BY "
        "x.id");
    sql_bind_int(s, 1, all);
    return form_put_rows(c->w, s);
}

/* --- status, catalogue -------------------------------------------------------------------------
 */

static void put_person(command_call *c, const fb_identity *who)
{
    out_text(c, "user", who->user_code);
    out_text(c, "name", who->user_name);
    out_text(c, "device", who->device_code);
    out_text(c, "server", who->server_url);
}

fb_code cmd_status(command_call *c)
{
    fb_status s = FB_STATUS_INIT;
    fb_identity who = {.size_bytes = sizeof who};

    FB_TRY(fb_status_get(c->db, &s, c->err));
    FB_TRY(fb_db_identity(c->db, &who, c->err));
    json_put_object(c->w);
    json_put_key(c->w, "enrolled");
    json_put_bool(c->w, s.enrolled);
    if (s.enrolled) {
        put_person(c, &who);
    }
    out_int(c, "pending", s.pending_count);
    out_int(c, "rejected", s.rejected_count);
    out_int(c, "held", s.held_count);
    out_int(c, "blocked", s.blocked_count);
    out_int(c, "conflicts", s.conflicts_count);
    out_int(c, "drafts", s.drafts_count);
    out_int(c, "parked", s.parked_count);
    out_int(c, "warnings", s.warnings_count);
    if (s.chunks_count + s.chunks_left > 0) {
        out_int(c, "chunks", s.chunks_count);
        out_int(c, "chunks_left", s.chunks_left);
    }
    out_instant(c, "oldest_pending_at", s.oldest_pending_ms);
    out_instant(c, "last_sync_at", s.last_sync_ms);
    out_instant(c, "next_sync_at", s.next_sync_ms);
    out_int(c, "lag_ms", s.lag_ms);
    out_int(c, "head", s.head_cid);
    out_int(c, "catalog_version", s.catalog_version);
    out_int(c, "clock_offset_ms", s.clock_offset_ms);
    json_put_key(c->w, "clock_suspect");
    json_put_bool(c->w, s.clock_suspect);
    out_int(c, "digest_faults", s.digest_faults_count);
    out_instant(c, "digest_fault_at", s.digest_fault_ms);
    out_int(c, "digest_buckets", s.digest_buckets_count);
    json_put_key(c->w, "digest_alarm");
    json_put_bool(c->w, s.digest_alarm);
    if (s.salvaged_ms != 0) {
        out_instant(c, "salvaged_at", s.salvaged_ms);
        out_int(c, "salvaged_groups", s.salvaged_groups);
    }
    json_put_end(c->w);
    return FB_OK;
}

static void put_column(json_writer *w, const fb_column *col)
{
    json_put_object(w);
    put_text(w, "name", col->name);
    put_text(w, "type", col->type);
    put_text(w, "to", col->to);
    put_text(w, "label", col->label_en);
    put_text(w, "label_zh", col->label_zh);
    if (col->required) {
        json_put_key(w, "required");
        json_put_bool(w, true);
    }
    if (col->guarded) {
        json_put_key(w, "guarded");
        json_put_bool(w, true);
    }
    json_put_end(w);
}

static fb_code put_entity(void *ctx, const fb_entity *e)
{
    command_call *c = ctx;
    const char *only = arg_text(c, "entity");

    if (only != NULL && !text_is(e->name, only)) {
        return FB_OK;
    }
    json_put_object(c->w);
    put_text(c->w, "name", e->name);
    put_text(c->w, "module", e->module);
    put_text(c->w, "label", e->label_en);
    put_text(c->w, "label_zh", e->label_zh);
    json_put_key(c->w, "device_writes");
    json_put_bool(c->w, e->device_writes);
    if (only != NULL) {
        json_put_key(c->w, "columns");
        json_put_array(c->w);
        for (uint32_t i = 0; i < e->columns_count; i++) {
            put_column(c->w, &e->columns[i]);
        }
        json_put_end(c->w);
    } else {
        out_int(c, "columns", e->columns_count);
    }
    json_put_end(c->w);
    return c->w->out->code;
}

fb_code cmd_entity_list(command_call *c)
{
    json_put_array(c->w);
    FB_TRY(fb_entity_each(c->db, put_entity, c, c->err));
    json_put_end(c->w);
    return FB_OK;
}
