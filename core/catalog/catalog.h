/* catalog.h - the entities as data: what schema/catalog says, checked and ready to use.
 *
 * Loaded from one JSON text (the modules of schema/catalog joined by catalog_join, or the
 * server's active catalogue as sent to devices). Refuses a wrong catalogue with module,
 * entity, column and reason. Knows nothing of SQL execution; catalog_ddl only writes text.
 *
 * Invariants
 *   CAT-1  entity and column names are [a-z][a-z0-9_]*, unique, no reserved word
 *          of SQL, no prefix fb_ or sqlite_, no double or trailing underscore
 *   CAT-2  column 0 of every entity is `id`; the last column is `ver` (server version, 0 = none
 * yet) CAT-3  every ref names an entity of the catalogue; every parent scope chain ends at a root
 *          (global, territory, user, assignment) within SCOPE_DEPTH_MAX hops
 *   CAT-4  a newer catalogue only adds entities and columns (catalog_extends)
 *   CAT-5  a column that takes the place of an older one says how (catalog_from.c)
 */
#ifndef FB_CATALOG_CATALOG_H
#define FB_CATALOG_CATALOG_H

#include "base/bytes.h"
#include "base/digest.h"
#include "fieldbook/error.h"

enum { SCOPE_DEPTH_MAX = 6, SCOPE_RULES_MAX = 4, CATALOG_COLUMNS_LIMIT = 120 };

typedef enum cat_type {
    CAT_ID,     /* the row's own identity: BLOB(16) */
    CAT_REF,    /* identity of a row of `to`: BLOB(16) */
    CAT_TEXT,   /* UTF-8, at most max_bytes */
    CAT_ENUM,   /* TEXT, one of values[] */
    CAT_DATE,   /* TEXT YYYY-MM-DD */
    CAT_JSON,   /* TEXT holding strict JSON */
    CAT_BOOL,   /* INTEGER 0 or 1; JSON number on the wire */
    CAT_INT32,  /* INTEGER in int32 range; JSON number on the wire */
    CAT_BP,     /* INTEGER basis points; JSON number on the wire */
    CAT_E7,     /* INTEGER 1e-7 degree; JSON number on the wire */
    CAT_INT64,  /* INTEGER; JSON string on the wire, as all below */
    CAT_MINOR,  /* money in minor units of its currency */
    CAT_PRICE,  /* 1/10000 of the major unit */
    CAT_MILLI,  /* quantity in 1/1000 of the unit */
    CAT_INSTANT /* milliseconds UTC */
} cat_type;

typedef enum cat_policy {            /* domain.md 3.3 */
                          CAT_SW,    /* server wins: devices may not write it after create */
                          CAT_LWW,   /* later captured_at wins, loser kept in a conflict record */
                          CAT_AO,    /* append only: fixed at create */
                          CAT_DELTA, /* devices send differences, the server sums */
                          CAT_SM,    /* state machine column */
                          CAT_MAX,
                          CAT_MIN,
                          CAT_SEQ, /* from the device's own number range; fixed at create */
                          CAT_RES, /* first claim wins */
                          CAT_MAN, /* both kept, a person decides; the server's value stands
                                      meanwhile */
                          CAT_SIG  /* sealed once the entity's sealed_when state is reached */
} cat_policy;

typedef enum cat_class { CAT_FACT, CAT_SHARED, CAT_REFERENCE, CAT_QUANTITY, CAT_OWN } cat_class;

typedef struct cat_pair {
    fb_text before, now;
} cat_pair;

typedef struct cat_column {
    fb_text name;
    fb_text label_en, label_zh;
    cat_type type;
    cat_policy policy;
    bool required;      /* NULL and "" are refused */
    bool personal;      /* personal data: never in logs, erased on request */
    bool guarded;       /* on devices changes only through a change_request */
    bool unique;        /* over all rows of the server, NULL excepted; advisory on devices */
    bool custom;        /* added by IT */
    bool derived;       /* computed by the core/server (name_key ...), never taken from input */
    uint32_t max_bytes; /* text: limit in bytes */
    int64_t min, max;   /* integers: inclusive range */
    fb_text *values;    /* enum */
    uint32_t values_count;
    fb_value default_value; /* KIND_NULL: none */
    int to_entity;          /* CAT_REF: entity number, else -1 */
    int from_column;        /* the older column whose place it takes (CAT-5); 0: none */
    cat_pair *from_pairs;   /* its values and what they are called now */
    uint32_t from_pairs_count;
    fb_text from_separator; /* only part number from_part of its text, from 1; 0: all of it */
    uint32_t from_part;
} cat_column;

typedef enum cat_scope_kind {
    SCOPE_GLOBAL,     /* every device */
    SCOPE_TERRITORY,  /* the territory named by `column` */
    SCOPE_REGION,     /* the org_unit named by `column`: users of it and of units above it */
    SCOPE_USER,       /* the user named by `column` */
    SCOPE_PARENT,     /* wherever the row named by `column` is */
    SCOPE_ASSIGNMENT, /* territories of the active customer_assignment rows of this customer */
    SCOPE_NONE        /* never on a device */
} cat_scope_kind;

typedef struct cat_scope_rule {
    cat_scope_kind kind;
    int column; /* index, -1 where no column is needed */
} cat_scope_rule;

typedef struct cat_transition {
    fb_text from, to; /* state codes; from may be "*" */
    bool device;      /* a device may do it (offline); else server side only */
    fb_text *roles;   /* role codes that may; count 0: whoever may update */
    uint32_t roles_count;
    fb_text requires_column; /* a column that must be filled, or "" */
} cat_transition;

typedef struct cat_states {
    int column;         /* -1: the entity has no state machine */
    fb_text initial[4]; /* states a row may be created in */
    uint32_t initial_count;
    fb_text
        sealed_from; /* after leaving this state all non-SM, non-SW columns are fixed; "" none */
    cat_transition *transitions;
    uint32_t transitions_count;
} cat_states;

typedef struct cat_grant {
    fb_text role; /* role code */
    bool create, read, update, remove, approve;
} cat_grant;

typedef struct cat_entity {
    int number; /* position in the catalogue; stable within one catalogue only */
    fb_text name, module, label_en, label_zh;
    cat_class klass;
    bool device_writes; /* devices may create/update at all */
    bool has_from;      /* some column takes the place of an older one */
    bool stamps;        /* has created_by, created_at, updated_by, updated_at, created_device */
    uint32_t added_in;  /* catalogue version that added it */
    cat_column *columns;
    uint32_t columns_count;
    cat_scope_rule scopes[SCOPE_RULES_MAX];
    uint32_t scopes_count;
    cat_states states;
    cat_grant *grants;
    uint32_t grants_count;
    /* secondary indexes: each a list of column indexes */
    struct cat_index {
        int columns[4];
        uint32_t columns_count;
        bool server_only;
        bool unique; /* UNIQUE on the server, plain on devices */
    } * indexes;
    uint32_t indexes_count;
    /* children whose scope follows this entity: (entity, column) pairs */
    struct cat_child {
        int entity, column;
    } * children;
    uint32_t children_count;
    int business_key;      /* column shown to people and used by imports (code ...), -1 none */
    uint8_t *column_slots; /* column numbers + 1 by the hash of their names; NULL: not made yet */
} cat_entity;

typedef struct catalog {
    uint32_t version;
    digest hash; /* of `text`: the same however the file was laid out */
    cat_entity *entities;
    uint32_t entities_count;
    fb_text text; /* the JSON it was loaded from without blanks between values, terminated */
    arena *memory;
    uint32_t *by_name; /* entity numbers in the order of their names */
} catalog;

/* Load and check. On success *out is owned by the caller (catalog_free). On failure
 * E_CATALOG (or E_JSON, E_LIMIT, E_NO_MEMORY) with err->field = "module.entity.column" and
 * the reason and cure in err->message; *out untouched. `text` may be freed afterwards. */
FB_MUST_USE fb_code catalog_load(fb_text text, catalog **out, fb_error *err);
void catalog_free(catalog *c);

/* The catalogue compiled into this binary (schema/catalog at build time). */
fb_text catalog_builtin_text(void);

/* Checks that `next` only adds to `base` (CAT-4): E_CATALOG names what was removed or changed. */
FB_MUST_USE fb_code catalog_extends(const catalog *base, const catalog *next, fb_error *err);

/* The longest line that a row of the entity can be in a page, whatever it holds. */
uint64_t cat_row_bytes_max(const cat_entity *e);
/* Checks that rows of entities that are new in `next`, or longer than in `base` (NULL: there is
 * none), fit a line (LINE_BYTES_MAX): one that did not would stand before everything behind it for
 * ever. E_LIMIT names the entity. Asked where a catalogue is made, not where one is in use. */
FB_MUST_USE fb_code catalog_rows_fit(const catalog *base, const catalog *next, fb_error *err);

/* Join `base` with one more module text {"module":..,"entities":[..],"extend":[..]} (new
 * entities; columns added to existing ones) into a new catalogue text with version + 1. E_LIMIT:
 * catalog_rows_fit. */
FB_MUST_USE fb_code catalog_add(const catalog *base, fb_text module, buf *text_out, fb_error *err);

/* What a program whose built-in catalogue is `builtin` makes of the one in use: the release's
 * modules as they are now, behind them what IT added, version + 1. *changed_out false: nothing is
 * new, *text_out untouched. E_CATALOG: the two do not go together (IT has used a name that the
 * release brings, or the release is older and lacks something); the one in use stays good. */
FB_MUST_USE fb_code catalog_release(const catalog *active, fb_text builtin, buf *text_out,
                                    bool *changed_out, fb_error *err);

const cat_entity *catalog_entity(const catalog *c, fb_text name); /* NULL if none */
const cat_entity *catalog_entity_str(const catalog *c, const char *name);
int cat_column_find(const cat_entity *e, fb_text name); /* -1 if none */
int cat_column_str(const cat_entity *e, const char *name);
static inline int cat_ver_column(const cat_entity *e)
{
    return (int)e->columns_count - 1;
}
bool cat_is_wide(cat_type t); /* JSON string on the wire */
bool cat_is_integer(cat_type t);
fb_kind cat_kind(cat_type t); /* kind of a non-null value */

typedef enum cat_side { CAT_DEVICE, CAT_SERVER } cat_side;
/* "CREATE TABLE ..." (STRICT, WITHOUT ROWID, id BLOB PRIMARY KEY, no REAL) for one entity. */
void catalog_table_sql(const cat_entity *e, cat_side side, buf *out);
/* "CREATE [UNIQUE] INDEX ..." number i of the entity; names are
 * ix_<entity>__<column>[__<column>...]. A server_only index must not be asked for CAT_DEVICE. A
 * single unique column excepts NULL, in a unique list two NULLs are equal. */
void catalog_index_sql(const cat_entity *e, uint32_t i, cat_side side, buf *out);
/* Statements that bring a database made for `from` (NULL: empty) to `to`, one per call of fn. */
FB_MUST_USE fb_code catalog_migrate(const catalog *from, const catalog *to, cat_side side,
                                    fb_code (*fn)(void *ctx, const char *sql), void *ctx);

/* Check one value against its column: type, length, range, enum, UTF-8, date. required is
 * checked by the caller who knows the whole row. err->field = "entity.column". */
FB_MUST_USE fb_code cat_value_check(const cat_entity *e, int column, const fb_value *v,
                                    fb_error *err);
/* Text a person or a CSV wrote -> value of the column (decimal for minor/price/milli/bp where
 * `human` is set, else raw integers). KIND_NULL for empty text. Text borrowed from input. */
FB_MUST_USE fb_code cat_value_parse(const cat_entity *e, int column, fb_text text, bool human,
                                    fb_value *out, fb_error *err);
/* The reverse, for CSV, JSON and people. */
void cat_value_print(const cat_entity *e, int column, const fb_value *v, bool human, buf *out);
bool fb_value_equal(const fb_value *a, const fb_value *b);
/* What `column` is when the older column whose place it takes is `before`. false: nothing follows
 * (no such column, NULL, or a value that has no equal). Texts are borrowed from `before` and e. */
bool cat_value_from(const cat_entity *e, int column, const fb_value *before, fb_value *out);

#endif
