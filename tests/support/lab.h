/* lab.h - a device for the tests of core/replica: an enrolled replica with a clock and randomness
 * of its own, one entity made for experiments, and replies written by hand.
 *
 * lab_item (name, note, qty as a quantity, parent_id) comes with a catalogue line in the first
 * reply, so every test that uses it has also taken a newer catalogue. The person has role LAB,
 * which may do everything with lab_item. */
#ifndef FB_TESTS_LAB_H
#define FB_TESTS_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h" /* before cmocka, whose macro fail() hides our function */

#include <cmocka.h>

#include "replica/replica.h"

typedef struct lab {
    replica *r;
    fb_port port;
    int64_t wall_ms;
    uint64_t random;
    char path[128];
    const char *vfs;
    const fb_files *files; /* of the next open; NULL: none */
    fb_id user, device, epoch, role;
    const cat_entity *item;
    int name, note, qty, parent; /* columns of lab_item */
} lab;

#define T(literal) ((fb_text){(literal), sizeof(literal) - 1})
#define LAB_WALL_MS INT64_C(1750000000000)

/* A file of this process: two runs at once do not meet. Valid until four more were asked for. */
const char *lab_path(const char *name);
/* A new database at path (removed first), enrolled and synced once. */
void lab_start(lab *l, const char *path, uint64_t seed);
/* The same database again; E.g. after a crash. Asserts success. */
void lab_reopen(lab *l);
void lab_stop(lab *l); /* closes and removes the files */
void lab_close(lab *l);
/* Pieces of lab_start, for tests that need less. */
void lab_init(lab *l, const char *path, const char *vfs, uint64_t seed);
void lab_port(lab *l); /* clock and randomness only; the files stay */
fb_code lab_open(lab *l, fb_error *err);
void lab_enrol(lab *l);
void lab_first_sync(lab *l);
uint64_t lab_random(lab *l);
fb_id lab_id(unsigned n);
/* The built-in catalogue with lab_item, version 2; with `more`, lab_item has a column `extra` and
 * there is an entity lab_more, version 3. Owned by the caller (buf_clear). */
buf lab_catalog(bool more);
void lab_find_columns(lab *l);

/* --- replies --- */
void reply_begin(lab *l, buf *out, int64_t applied, int64_t backed_up, int64_t head);
void reply_verdict(buf *out, int64_t gseq, verdict_code code, bool echo);
void reply_page(buf *out, const char *token, bool complete, bool reset);
/* A whole block of one row of lab_item; NULL texts are null. */
void reply_row(lab *l, buf *out, unsigned id, const char *name, const char *note, int64_t qty,
               int64_t ver);
void reply_gone(lab *l, buf *out, block_kind kind, unsigned id);
/* The person's role and its assignment: every reset page must carry them. */
void reply_rights(lab *l, buf *out);
void reply_role(lab *l, buf *out, const char *code); /* the same with another role's name */
/* End, take, clear; asserts success unless rc_out is given. */
stage_result reply_take(lab *l, buf *out);
fb_code reply_try(lab *l, buf *out, stage_result *result, fb_error *err);

/* --- captures --- */
void lab_begin(lab *l, const char *kind);
int64_t lab_commit(lab *l);
void lab_insert(lab *l, unsigned id, const char *name, int64_t qty);
void lab_set(lab *l, unsigned id, int column, const char *text);
/* One group of one op. */
int64_t lab_save(lab *l, unsigned id, const char *name, int64_t qty);
int64_t lab_change(lab *l, unsigned id, int column, const char *text);

/* --- looking --- */
bool lab_has(lab *l, unsigned id);
/* Text of a column, "" for null; static buffer. The row must be there. */
const char *lab_text(lab *l, unsigned id, int column);
int64_t lab_qty(lab *l, unsigned id);
int64_t lab_count(lab *l, const char *sql);
void lab_check(lab *l); /* replica_check passes */

#endif
