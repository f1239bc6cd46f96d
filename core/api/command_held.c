/* command_held.c - work of others that waits for this person: list, show, accept, reject. See
 * command_inside.h.
 *
 * A decision is an ordinary change of the row of the entity held_group; the server judges it,
 * carries it out and tells the author (protocol.md 5.3). What is refused here would be refused
 * there. */
#include "api/command_inside.h"

/* Newest last; all of them with "all". */
fb_code cmd_held_list(command_call *c)
{
    bool all = false;
    sql_stmt *s = NULL;

    FB_TRY(arg_bool(c, "all", &all));
    s = sql_prepare(
        replica_sql(c->db->r),
        "SELECT h.id, u.code AS by, u.name, h.kind, h.captured_at, h.code, h.field, h.text_en AS "
        "text, h.text_zh, h.role AS who, h.state, h.reason, m.code AS decided_by, h.result FROM "
        "held_group h LEFT JOIN app_user u ON u.id = h.user_id LEFT JOIN app_user m ON m.id = "
        "h.decided_by WHERE ?1 OR h.state = 'open' ORDER BY h.held_at, h.id");
    sql_bind_int(s, 1, all);
    return form_put_rows(c->w, s);
}

/* Every column in its exchange form; the group as JSON, not as a text of it. */
fb_code cmd_held_show(command_call *c)
{
    rec r;
    fb_id id = {{0}};

    FB_TRY(arg_ref(c, "held", "held_group", &id));
    FB_TRY(rec_read(&r, c->db, "held_group", &id, c->memory, c->err));
    fb_text content = rec_get_text(&r, "content");
    json_put_object(c->w);
    for (int i = 0; i < (int)r.e->columns_count; i++) {
        bool is_content = text_is(r.e->columns[i].name, "content");
        if (r.values[i].kind != FB_KIND_NULL && !is_content) {
            json_put_key_text(c->w, r.e->columns[i].name);
            form_put(c->w, r.e, i, &r.values[i]);
        }
    }
    if (content.size > 0) {
        json_put_key(c->w, "group");
        json_put_raw(c->w, content);
    }
    json_put_end(c->w);
    return FB_OK;
}

static fb_code check_decision(command_call *c, const rec *r)
{
    api_person me;
    fb_id author = rec_get_id(r, "user_id");

    FB_TRY(api_person_get(c->db, &me, c->err));
    if (!text_is(rec_get_text(r, "state"), "open")) {
        return fail(c->err, FB_E_STATE, "held_group.state",
                    "it has been decided already: see the list with all");
    }
    if (text_is(rec_get_text(r, "role"), "IT")) {
        return fail(c->err, FB_E_FORBIDDEN, "held_group.role",
                    "IT decides this one at the server: nothing to do");
    }
    return id_equal(&author, &me.user)
               ? fail(c->err, FB_E_FORBIDDEN, "held_group.user_id",
                      "nobody decides about his own work: ask another manager")
               : FB_OK;
}

static fb_code decide_inside(command_call *c, const fb_id *id, const char *state)
{
    rec r;
    change ch;

    FB_TRY(rec_read(&r, c->db, "held_group", id, c->memory, c->err));
    FB_TRY(check_decision(c, &r));
    change_new(&ch, c->db, "held_group");
    if (arg_text(c, "reason") != NULL) {
        change_str(&ch, "reason", arg_text(c, "reason"));
    }
    change_str(&ch, "state", state);
    return change_apply(&ch, id, c->err);
}

static fb_code decide(command_call *c, const char *kind, const char *state)
{
    api_write w;
    fb_id id = {{0}};
    int64_t gseq = 0;

    FB_TRY(arg_ref(c, "held", "held_group", &id));
    FB_TRY(write_begin(c->db, kind, 0, &w, c->err));
    FB_TRY(write_end(&w, decide_inside(c, &id, state), &gseq, c->err));
    json_put_object(c->w);
    out_id(c, "id", &id);
    out_text(c, "state", state);
    out_int(c, "gseq", gseq);
    json_put_end(c->w);
    return FB_OK;
}

fb_code cmd_held_accept(command_call *c)
{
    return decide(c, "held.accept", "accepted");
}

fb_code cmd_held_reject(command_call *c)
{
    return decide(c, "held.reject", "rejected");
}
