/* command_args.c - arguments in, results out. See command_inside.h. */
#include <stdio.h>
#include <string.h>

#include "api/command_inside.h"
#include "base/decimal.h"

fb_code arg_wrong(command_call *c, const char *name, fb_code code, const char *why)
{
    return fail(c->err, code, name, "%s", why);
}

static fb_code wrong_json(command_call *c, const json_reader *r)
{
    return fail(c->err, r->code == FB_OK ? FB_E_JSON : r->code, "args",
                "arguments are one strict JSON object (%s): correct it", r->why);
}

static fb_code args_take(command_call *c, json_reader *r, fb_text key)
{
    struct command_arg *a = &c->args[c->args_count];
    json_type type = json_peek(r);

    if (c->args_count == ARGS_MAX) {
        json_fail(r, FB_E_LIMIT, "too many arguments");
        return r->code;
    }
    if (type == JSON_NULL) {
        (void)json_null(r);
        return r->code;
    }
    fb_text value = type == JSON_STRING ? json_string(r) : json_raw(r);
    FB_TRY(r->code);
    a->name = arena_text(c->memory, key);
    a->text = arena_text(c->memory, value).data;
    a->is_string = type == JSON_STRING;
    if (a->name.data == NULL || a->text == NULL) {
        return FB_E_NO_MEMORY;
    }
    c->args_count++;
    return FB_OK;
}

fb_code args_read(command_call *c, fb_text json)
{
    json_reader r;
    fb_text key;

    c->args_count = 0;
    json_reader_init(&r, json, c->memory);
    if (json_peek(&r) != JSON_OBJECT) {
        return wrong_json(c, &r);
    }
    json_object_begin(&r);
    while (json_object_next(&r, &key)) {
        fb_code rc = args_take(c, &r, key);
        if (rc != FB_OK) {
            return r.code != FB_OK ? wrong_json(c, &r) : rc;
        }
    }
    return json_finish(&r) == FB_OK ? FB_OK : wrong_json(c, &r);
}

const char *arg_text(const command_call *c, const char *name)
{
    for (uint32_t i = 0; i < c->args_count; i++) {
        if (text_is(c->args[i].name, name)) {
            return c->args[i].text;
        }
    }
    return NULL;
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

fb_code arg_decimal(command_call *c, const char *name, unsigned digits, int64_t *out)
{
    const char *text = arg_text(c, name);
    char why[96];

    if (!is_given(text) || decimal_get(text_of(text), digits, out)) {
        return FB_OK;
    }
    (void)snprintf(why, sizeof why, "a number with at most %u decimals is expected: correct it",
                   digits);
    return arg_wrong(c, name, FB_E_FORMAT, why);
}

fb_code arg_int(command_call *c, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const char *text = arg_text(c, name);
    int64_t value = 0;

    if (!is_given(text)) {
        return FB_OK;
    }
    if (!i64_get(text_of(text), &value)) {
        return arg_wrong(c, name, FB_E_FORMAT, "a whole number is expected: correct it");
    }
    if (value < min || value > max) {
        return arg_wrong(c, name, FB_E_RANGE, "the number is out of its range: correct it");
    }
    *out = value;
    return FB_OK;
}

fb_code arg_bool(command_call *c, const char *name, bool *out)
{
    const char *text = arg_text(c, name);

    if (!is_given(text)) {
        return FB_OK;
    }
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || strcmp(text, "yes") == 0;
    bool no = strcmp(text, "false") == 0 || strcmp(text, "0") == 0 || strcmp(text, "no") == 0;
    if (!yes && !no) {
        return arg_wrong(c, name, FB_E_FORMAT, "true or false is expected: correct it");
    }
    *out = yes;
    return FB_OK;
}

fb_code arg_instant(command_call *c, const char *name, int64_t *out_ms)
{
    const char *text = arg_text(c, name);

    if (is_given(text) && !instant_parse(c->db, text_of(text), out_ms)) {
        return arg_wrong(c, name, FB_E_FORMAT,
                         "a time is expected, such as 2026-11-22T08:00:00Z: correct it");
    }
    return FB_OK;
}

fb_code arg_ref(command_call *c, const char *name, const char *entity, fb_id *out)
{
    const char *text = arg_text(c, name);

    if (!is_given(text)) {
        return FB_OK;
    }
    fb_code rc = lookup_by_key(c->db, entity, text_of(text), out, c->err);
    if (rc == FB_E_NOT_FOUND) {
        return arg_wrong(
            c, name, rc,
            "no record with this code or id is on this device: synchronise, or correct it");
    }
    return rc;
}

fb_code arg_e7(command_call *c, const char *name, bool *given_out, int32_t *out)
{
    int64_t value = 0;

    *given_out = is_given(arg_text(c, name));
    FB_TRY(arg_decimal(c, name, 7, &value));
    if (value < -1800000000 || value > 1800000000) {
        return arg_wrong(c, name, FB_E_RANGE, "degrees lie within 180: correct it");
    }
    if (*given_out) {
        *out = (int32_t)value;
    }
    return FB_OK;
}

/* --- results ------------------------------------------------------------------------------------
 */

void out_id(command_call *c, const char *key, const fb_id *id)
{
    json_put_key(c->w, key);
    if (id_is_none(id)) {
        json_put_null(c->w);
    } else {
        json_put_id(c->w, id);
    }
}

void out_text(command_call *c, const char *key, const char *value)
{
    json_put_key(c->w, key);
    if (value == NULL) {
        json_put_null(c->w);
    } else {
        json_put_str(c->w, value);
    }
}

void out_int(command_call *c, const char *key, int64_t value)
{
    json_put_key(c->w, key);
    json_put_int(c->w, value);
}

void out_decimal(command_call *c, const char *key, int64_t value, unsigned digits)
{
    buf b;

    buf_init(&b, 64);
    decimal_put(&b, value, digits, false);
    json_put_key(c->w, key);
    json_put_string(c->w, buf_text(&b));
    buf_clear(&b);
}

void out_instant(command_call *c, const char *key, int64_t at_ms)
{
    buf b;

    json_put_key(c->w, key);
    if (at_ms == 0) {
        json_put_null(c->w);
        return;
    }
    buf_init(&b, 64);
    instant_print(at_ms, &b);
    json_put_string(c->w, buf_text(&b));
    buf_clear(&b);
}

void out_id_object(command_call *c, const fb_id *id)
{
    json_put_object(c->w);
    out_id(c, "id", id);
    json_put_end(c->w);
}

fb_code out_json(command_call *c, fb_code rc, char **json)
{
    if (rc == FB_OK) {
        json_put_raw(c->w, text_of(*json));
        fb_string_free(*json);
    }
    return rc;
}
