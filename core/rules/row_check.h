/* row_check.h - is this row, or this change of it, allowed by the catalogue?
 *
 * Types, lengths, ranges, enums, required columns, forms of phone/email/usc/GTIN by column name,
 * policies (who may write which column), states. Pure. Also fills derived columns. */
#ifndef FB_RULES_ROW_CHECK_H
#define FB_RULES_ROW_CHECK_H

#include "catalog/catalog.h"
#include "rules/issue.h"

typedef enum row_actor { ACTOR_DEVICE, ACTOR_SERVER } row_actor;

typedef struct row_rights {
    bool create, read, update, remove, approve;
    const fb_text *roles; /* role codes of the person */
    uint32_t roles_count;
    row_actor actor;
} row_rights;

/* `values` has columns_count entries of the entity (id first, ver last); unset ones KIND_NULL. */
FB_MUST_USE fb_code row_check_insert(const cat_entity *e, const fb_value *values,
                                     const row_rights *who, int64_t now_ms, issue *out);
/* `current` is the row before; columns/mine the change. Checks policy per column (SW, AO, SIG,
 * guarded -> E_GUARDED or E_FORBIDDEN for devices), values, required, transition of the state
 * column. */
FB_MUST_USE fb_code row_check_update(const cat_entity *e, const fb_value *current,
                                     const int *columns, const fb_value *mine, uint32_t count,
                                     const row_rights *who, int64_t now_ms, issue *out);
FB_MUST_USE fb_code row_check_delete(const cat_entity *e, const fb_value *current,
                                     const row_rights *who, issue *out);

/* State machine alone. */
FB_MUST_USE fb_code state_check(const cat_entity *e, fb_text from, fb_text to,
                                const row_rights *who, const fb_value *row_after, issue *out);

/* Fill derived and defaulted columns of an insert; `memory` holds new texts. Derived: customer
 * name_key, name_py, phone normal form. Defaults only where the value is null. */
FB_MUST_USE fb_code row_derive(const cat_entity *e, fb_value *values, arena *memory);
/* Derived columns that a change of these columns brings with it: appended to columns/values. */
FB_MUST_USE fb_code row_derive_update(const cat_entity *e, int *columns, fb_value *values,
                                      uint32_t *count, uint32_t capacity, arena *memory);

#endif
