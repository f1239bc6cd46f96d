/* command_inside.h - one command being run: its arguments, its result.
 *
 *   command.c        the table, dispatch, groups        command_args.c    reading arguments
 *   command_field.c  customers, visits, payments, activities, tasks
 *   command_held.c   work that waits for this person
 *   command_parked.c  records that left                 command_attachment.c  photos and documents
 *   command_order.c  orders                             command_data.c    records, problems,
 * queries, status */
#ifndef FB_API_COMMAND_INSIDE_H
#define FB_API_COMMAND_INSIDE_H

#include "api/handle.h"

enum { ARGS_MAX = 40 };

typedef struct command_call {
    fb_db *db;
    arena *memory;
    struct command_arg {
        fb_text name;
        const char *text; /* string value, or the text of any other JSON value; terminated */
        bool is_string;
    } args[ARGS_MAX];
    uint32_t args_count;
    json_writer *w; /* the command writes exactly one value */
    fb_error *err;
} command_call;

typedef fb_code (*command_fn)(command_call *c);

/* --- command_args.c: every getter leaves *out alone when the argument is absent or null
 * -------------- */
FB_MUST_USE fb_code args_read(command_call *c, fb_text json);
const char *arg_text(const command_call *c, const char *name); /* NULL: absent */
FB_MUST_USE fb_code arg_decimal(command_call *c, const char *name, unsigned digits, int64_t *out);
FB_MUST_USE fb_code arg_int(command_call *c, const char *name, int64_t min, int64_t max,
                            int64_t *out);
FB_MUST_USE fb_code arg_bool(command_call *c, const char *name, bool *out);
FB_MUST_USE fb_code arg_instant(command_call *c, const char *name, int64_t *out_ms);
/* Id, or business key of the entity. */
FB_MUST_USE fb_code arg_ref(command_call *c, const char *name, const char *entity, fb_id *out);
FB_MUST_USE fb_code arg_e7(command_call *c, const char *name, bool *given_out, int32_t *out);
fb_code arg_wrong(command_call *c, const char *name, fb_code code, const char *why);

/* --- writing results --- */
void out_id(command_call *c, const char *key, const fb_id *id); /* null when none */
void out_text(command_call *c, const char *key, const char *value);
void out_int(command_call *c, const char *key, int64_t value);
void out_decimal(command_call *c, const char *key, int64_t value, unsigned digits);
void out_instant(command_call *c, const char *key, int64_t at_ms); /* null when 0 */
/* {"id": ...} */
void out_id_object(command_call *c, const fb_id *id);
/* A JSON text that a public call made in *json: put as it is, freed. By address, because the call
 * and this argument are evaluated in any order. */
fb_code out_json(command_call *c, fb_code rc, char **json);

/* Run fn, which writes nothing but its result: all that it reads is of one moment. */
FB_MUST_USE fb_code view_run(command_call *c, command_fn fn);

fb_code cmd_customer_find(command_call *c);
fb_code cmd_customer_show(command_call *c);
fb_code cmd_customer_360(command_call *c);
fb_code cmd_customer_add(command_call *c);
fb_code cmd_customer_set(command_call *c);
fb_code cmd_visit_check_in(command_call *c);
fb_code cmd_visit_action(command_call *c);
fb_code cmd_visit_check_out(command_call *c);
fb_code cmd_visit_cancel(command_call *c);
fb_code cmd_visit_open(command_call *c);
fb_code cmd_payment_add(command_call *c);
fb_code cmd_activity_add(command_call *c);
fb_code cmd_activity_correct(command_call *c);
fb_code cmd_activity_void(command_call *c);
fb_code cmd_task_add(command_call *c);
fb_code cmd_task_done(command_call *c);
fb_code cmd_order_new(command_call *c);
fb_code cmd_order_line(command_call *c);
fb_code cmd_order_remove_line(command_call *c);
fb_code cmd_order_show(command_call *c);
fb_code cmd_order_submit(command_call *c);
fb_code cmd_order_discard(command_call *c);
fb_code cmd_order_cancel(command_call *c);
fb_code cmd_order_drafts(command_call *c);
fb_code cmd_parked_list(command_call *c);
fb_code cmd_warning_list(command_call *c);
fb_code cmd_problem_list(command_call *c);
fb_code cmd_problem_show(command_call *c);
fb_code cmd_problem_resubmit(command_call *c);
fb_code cmd_problem_discard(command_call *c);
fb_code cmd_conflict_list(command_call *c);
fb_code cmd_held_list(command_call *c);
fb_code cmd_held_show(command_call *c);
fb_code cmd_held_accept(command_call *c);
fb_code cmd_held_reject(command_call *c);
fb_code cmd_record_get(command_call *c);
fb_code cmd_record_put(command_call *c);
fb_code cmd_record_delete(command_call *c);
fb_code cmd_record_add(command_call *c);
fb_code cmd_query(command_call *c);
fb_code cmd_status(command_call *c);
fb_code cmd_entity_list(command_call *c);
fb_code cmd_attachment_add(command_call *c);
fb_code cmd_attachment_show(command_call *c);
fb_code cmd_attachment_want(command_call *c);
fb_code cmd_attachment_free(command_call *c);
fb_code cmd_attachment_count(command_call *c);

#endif
