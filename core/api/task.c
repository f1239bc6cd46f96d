/* task.c - what somebody promised or has to do. See fieldbook/task.h. */
#include "fieldbook/task.h"

#include "api/handle.h"

static fb_code add_task(fb_db *db, const char *title, const fb_task_options *o, fb_id *id_out,
                        fb_error *err)
{
    api_person me;
    rec r;

    FB_TRY(api_person_get(db, &me, err));
    rec_new(&r, db, "task");
    rec_str(&r, "title", title);
    rec_str(&r, "kind", o->kind == NULL ? "todo" : o->kind);
    rec_str(&r, "priority", o->priority == NULL ? "normal" : o->priority);
    if (o->due_at_ms != 0) {
        rec_int(&r, "due_at", o->due_at_ms);
    }
    rec_id(&r, "assignee_id", id_is_none(&o->assignee) ? &me.user : &o->assignee);
    rec_id(&r, "assigner_id", &me.user);
    rec_id(&r, "customer_id", &o->customer);
    rec_str(&r, "status", "todo");
    *id_out = r.values[0].u.id;
    return rec_insert(&r, err);
}

fb_code fb_task_add(fb_db *db, const char *title, const fb_task_options *options, fb_id *id_out,
                    fb_error *err)
{
    fb_task_options o = FB_TASK_OPTIONS_INIT;
    api_write w;
    fb_id made;

    FB_REQUIRE(db != NULL);
    api_clear(err);
    if (title == NULL || title[0] == '\0') {
        return fail(err, FB_E_REQUIRED, "task.title", "a title is needed: say what is to be done");
    }
    FB_TRY(options_copy(&o, sizeof o, options));
    FB_TRY(write_begin(db, "task.add", o.at_ms, &w, err));
    fb_code rc = write_end(&w, add_task(db, title, &o, &made, err), NULL, err);
    if (rc == FB_OK && id_out != NULL) {
        *id_out = made;
    }
    return rc;
}

static fb_code finish_task(fb_db *db, const fb_id *task, const char *result, int64_t at_ms,
                           arena *memory, fb_error *err)
{
    rec current;
    change c;

    FB_TRY(rec_read(&current, db, "task", task, memory, err));
    fb_text status = rec_get_text(&current, "status");
    if (!text_is(status, "todo") && !text_is(status, "doing")) {
        return fail(err, FB_E_STATE, "task.status", "the task is finished already: add a new one");
    }
    change_new(&c, db, "task");
    change_int(&c, "done_at", at_ms);
    change_str(&c, "result", result);
    change_str(&c, "status", "done");
    return change_apply(&c, task, err);
}

fb_code fb_task_done(fb_db *db, const fb_id *task, const char *result, int64_t at_ms, fb_error *err)
{
    api_write w;

    FB_REQUIRE(db != NULL && task != NULL);
    api_clear(err);
    FB_TRY(write_begin(db, "task.done", at_ms, &w, err));
    arena *memory = arena_new(CALL_BYTES_MAX);
    fb_code rc =
        memory == NULL ? FB_E_NO_MEMORY : finish_task(db, task, result, w.at_ms, memory, err);
    arena_free(memory);
    return write_end(&w, rc, NULL, err);
}
