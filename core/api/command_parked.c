/* command_parked.c - records that left and warnings, by name. See command_inside.h. */
#include "api/command_inside.h"
#include "fieldbook/parked.h"

static void put_words(json_writer *w, const char *key, fb_text value)
{
    json_put_key(w, key);
    json_put_string(w, value);
}

static fb_code put_parked(void *ctx, const parked_row *p)
{
    command_call *c = ctx;
    json_put_object(c->w);
    put_words(c->w, "entity", p->e->name);
    out_id(c, "id", &p->id);
    out_instant(c, "left_at", p->left_ms);
    out_int(c, "gseq", p->gseq);
    json_put_key(c->w, "changed");
    json_put_bool(c->w, p->changed);
    json_put_key(c->w, "deleted");
    json_put_bool(c->w, p->deleted);
    json_put_key(c->w, "theirs");
    form_put_row(c->w, p->e, p->theirs, false);
    json_put_key(c->w, "mine");
    form_put_row(c->w, p->e, p->mine, false);
    json_put_end(c->w);
    return c->w->out->code;
}

fb_code cmd_parked_list(command_call *c)
{
    json_put_array(c->w);
    FB_TRY(parked_each(c->db->r, put_parked, c));
    json_put_end(c->w);
    return FB_OK;
}

static fb_code put_warning(void *ctx, const fb_warning *w)
{
    command_call *c = ctx;
    json_put_object(c->w);
    out_int(c, "gseq", w->gseq);
    if (w->entity.size > 0) {
        put_words(c->w, "entity", w->entity);
        out_id(c, "id", &w->id);
    }
    put_words(c->w, "text", w->text_en);
    put_words(c->w, "text_zh", w->text_zh);
    json_put_end(c->w);
    return c->w->out->code;
}

fb_code cmd_warning_list(command_call *c)
{
    json_put_array(c->w);
    FB_TRY(fb_warning_each(c->db, put_warning, c, c->err));
    json_put_end(c->w);
    return FB_OK;
}
