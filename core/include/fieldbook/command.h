/* command.h - every operation by name, with JSON in and JSON out: for bindings, tools and imports.
 *
 * One call instead of one native stub per function: "visit.check_in" with {"customer": "C001",
 * "lat": "31.2304"}. Arguments are texts or numbers in record.h form; customers and products may be
 * named by id or code; times as milliseconds or ISO ("1996-07-04", "1996-07-04T08:00:00Z").
 * fb_command_each lists them all. Threads: as fb_db. */
#ifndef FIELDBOOK_COMMAND_H
#define FIELDBOOK_COMMAND_H

#include "fieldbook/db.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Run one command. `args_json`: a JSON object (NULL: {}), borrowed for the call. *json_out: the
 * result, a JSON object or array; ends with fb_string_free. FB_E_NOT_FOUND: no such command.
 * FB_E_INVALID with err->field: an unknown argument. FB_E_REQUIRED with err->field: a missing one.
 * Otherwise as the function behind it. */
FB_API FB_MUST_USE fb_code fb_command_run(fb_db *db, const char *name, const char *args_json,
                                          char **json_out, fb_error *err);

/* Run a list of commands as ONE group: {"at": ms or date, "kind": "visit.done"?, "ops": [{"op":
 * name, ...arguments}]}. Inside it "visit" of later operations defaults to the visit checked in
 * before. *json_out: {"gseq": "17", "results": [...]}. After any failure nothing changed;
 * err->field begins with "ops[i]". FB_E_STATE: a group is open already. */
FB_API FB_MUST_USE fb_code fb_command_group(fb_db *db, const char *group_json, char **json_out,
                                            fb_error *err);

typedef struct fb_command_info {
    const char *name;     /* "visit.check_in" */
    const char *required; /* names of required arguments, separated by blanks */
    const char *optional;
    const char *help; /* one line */
    bool writes;
} fb_command_info;

typedef fb_code (*fb_command_fn)(void *ctx, const fb_command_info *info);

/* Lend every command to `fn`, in a fixed order. */
FB_API FB_MUST_USE fb_code fb_command_each(fb_command_fn fn, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
