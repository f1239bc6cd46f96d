/* row_rule.h - what the files of the row rules share; nobody outside this room includes it.
 *
 *   row_check.c   insert, update, delete: rights, policies, required columns
 *   row_state.c   the state machine
 *   row_value.c   one value: catalogue limits, forms by column name, times; dates in order
 *   row_derive.c  defaults and derived columns
 *   row_words.c   what is said to people */
#ifndef FB_RULES_ROW_RULE_H
#define FB_RULES_ROW_RULE_H

#include "rules/row_check.h"

typedef enum row_word {
    ROW_MAY_NOT,
    ROW_NOT_ON_DEVICES,
    ROW_NO_ID,
    ROW_OWN_COLUMN,
    ROW_TWICE,
    ROW_DERIVED,
    ROW_GUARDED,
    ROW_SERVER_ONLY,
    ROW_FIXED,
    ROW_SEALED,
    ROW_SEALED_DELETE,
    ROW_REQUIRED,
    ROW_VALUE,
    ROW_LENGTH,
    ROW_RANGE,
    ROW_ENUM,
    ROW_PHONE,
    ROW_EMAIL,
    ROW_USC,
    ROW_GTIN,
    ROW_DEGREES,
    ROW_FUTURE,
    ROW_DATES,
    ROW_INITIAL,
    ROW_STEP,
    ROW_STEP_LAST,
    ROW_STEP_SERVER,
    ROW_STEP_ROLE,
    ROW_STEP_REQUIRES
} row_word;

/* One question about one row. */
typedef struct row_case {
    const cat_entity *e;
    const row_rights *who;
    int64_t now_ms;
    issue *out;
} row_case;

/* Arguments {1} and {2} are the names of entity and column (-1: none), {3} the column's label, {4}
 * the entity's; `more` follows. */
fb_code row_say(const row_case *c, row_word w, int column, const issue_arg *more, size_t count);
/* "a, b, c" in `room`, cut with " ..." where it is too small; "-" for none. */
fb_text row_list(char *room, size_t size, const fb_text *items, size_t count);

bool row_by_device(const row_case *c);
bool row_is_empty(const fb_value *v); /* null or "" */
/* Columns are known by name: word "phone" is "phone" and "delivery_phone", not "telephone". */
bool row_named(fb_text name, const char *word);

/* Limits, form and time of one value that is not null. */
FB_MUST_USE fb_code row_value_check(const row_case *c, int column, const fb_value *v);
/* Pairs such as valid_from/valid_to of which a column changed; changed NULL: all. */
FB_MUST_USE fb_code row_dates_check(const row_case *c, const fb_value *row, const bool *changed);

/* True when `column` is one the core computes and row[column] is what it computes from the row. */
bool row_derived_holds(const cat_entity *e, const fb_value *row, int column);

/* The transition that leads from -> to, or NULL; for its required column. */
const cat_transition *row_transition(const cat_entity *e, fb_text from, fb_text to);

#endif
