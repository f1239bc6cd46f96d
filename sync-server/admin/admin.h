/* admin.h - fieldbook-admin: what IT does with the server's database.
 *
 *   main.c      the table of commands, the composition root
 *   words.c     messages (text.def), options
 *   company.c   init: folder, certificates, configuration, first database
 *   rows.c      entities, add, set, list, setting: single rows by business key
 *   import.c    CSV -> rows, with a dry run and an error for each bad row
 *   export.c    rows -> CSV or NDJSON
 *   realign.c   many customers to other territories
 *   people.c    enrolment codes, devices
 *   certificate.c  the server's certificate: show, renew
 *   held.c      groups that wait for a person
 *   erase.c     the data of one person goes, everywhere
 *   packs.c     row packs for first downloads
 *   conflict.c  values that lost a merge: list, settle
 *   status.c    does a person have to do something? for people and for monitoring
 *   show.c      entities, list, query, audit
 *   upkeep.c    check, catalogue additions
 *   backup.c    backups made, listed, tried out; shelf.c, shelf_add.c: a folder of increments
 *   backup_file.c  one file and its SHA-256
 *   blobs.c     photos and documents: list, check, missing, collect, in backups
 *   restore.c   a backup checked, and put back with a new epoch
 *
 * Every change goes through ledger_commit: devices see it like any other commit, and the audit
 * names the administrator. The commands may run while fieldbookd serves the same database.
 *
 *   ADM-1  a command that fails has changed nothing */
#ifndef FB_ADMIN_ADMIN_H
#define FB_ADMIN_ADMIN_H

#include <stdio.h>

#include "base/decimal.h"
#include "base/id.h"
#include "fieldbook/files.h"
#include "rules/row_check.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/store/store.h"

enum { DIGEST_TEXT_BYTES = 2 * DIGEST_BYTES + 1, TIME_TEXT_BYTES = 24 };
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_ALARM = 3, EXIT_REFUSED = 4 };

typedef enum text_id {
#define X(name, en, zh) TEXT_##name,
#include "sync-server/admin/text.def"
#undef X
    TEXTS
} text_id;

typedef struct admin {
    const char *home;    /* folder of the company */
    const char *command; /* for messages */
    const char *usage;   /* its arguments: which options take a value */
    bool json, chinese;
    const fb_port *port;
    const fb_files *files; /* for attachments and what a folder of backups gets */
    store *db;             /* open for commands that need it */
    id_maker ids;
    int argc; /* arguments behind the command */
    char **argv;
} admin;

/* Text in the chosen language; the format's arguments follow. */
const char *admin_text(const admin *a, text_id id);
void admin_say(const admin *a, text_id id, ...);  /* standard output, unless --json */
void admin_warn(const admin *a, text_id id, ...); /* standard error, with a line end */
/* Prints the failure and returns the exit code for it. */
int admin_failed(const admin *a, fb_code code, const fb_error *err);

/* Says that a->home holds no company; the exit code for it. */
int admin_no_company(const admin *a);

/* Options: takes --name VALUE (or --name for flags) out of argv. NULL if absent. */
const char *option_take(admin *a, const char *name);
bool flag_take(admin *a, const char *name);
/* True when options are left that are unknown or lack their value; says so. */
bool options_left(admin *a);

/* Finds a row by business key or id text. */
FB_MUST_USE fb_code row_by_key(admin *a, const cat_entity *e, fb_text key, arena *memory,
                               fb_value *values);
/* A person's text for one column: references may be given by the business key of their entity. */
FB_MUST_USE fb_code value_by_text(admin *a, const cat_entity *e, int column, fb_text text,
                                  arena *memory, fb_value *out, fb_error *err);
/* A new row or a change of an existing one, checked and completed: *change_out->kind says which; no
 * difference at all gives count 0. `columns` and `values` are what the person gave. */
typedef enum row_result { ROW_ADDED, ROW_CHANGED, ROW_SAME } row_result;
FB_MUST_USE fb_code row_store(admin *a, const cat_entity *e, const fb_value *current,
                              const int *columns, const fb_value *given, uint32_t count,
                              arena *memory, change *out, row_result *result, fb_error *err);
row_rights admin_rights(void);
/* Run one read-only statement and print its rows. */
int rows_show(admin *a, fb_text sql);

/* A backup: the file, and FILE.sha256 beside it. */
typedef struct backup_facts {
    int64_t head, entries, bytes; /* last commit, audit entries */
    fb_id epoch;
    char sha256[DIGEST_TEXT_BYTES];
} backup_facts;
/* SHA-256 of a whole file, and its size. */
FB_MUST_USE fb_code backup_file_digest(const char *path, digest *out, int64_t *bytes_out,
                                       fb_error *err);
void digest_text(const digest *d, char out[DIGEST_TEXT_BYTES]);
/* Is this database sound, and does its audit chain hold? Fills head, entries, epoch. */
FB_MUST_USE fb_code backup_content_check(const char *path, backup_facts *out, fb_error *err);
/* "2026-03-14T08:15:00Z" */
void time_text(int64_t ms, char out[TIME_TEXT_BYTES]);
/* That, or without seconds, or a day alone (its beginning). Always UTC. */
bool time_get(const char *text, int64_t *ms_out);
FB_MUST_USE fb_code backup_manifest_write(const char *path, backup_facts *out, fb_error *err);
/* Bytes, database and audit chain. E_CORRUPT; E_NOT_FOUND: no FILE.sha256. */
FB_MUST_USE fb_code backup_check(const char *path, backup_facts *out, fb_error *err);

int command_init(admin *a);
int command_entities(admin *a);
int command_add(admin *a);
int command_set(admin *a);
int command_list(admin *a);
int command_setting(admin *a);
int command_import(admin *a);
int command_realign(admin *a);
int command_export(admin *a);
int command_code(admin *a);
int command_device(admin *a);
int command_held(admin *a);
int command_erase(admin *a);
int command_blobs(admin *a);
int command_conflict(admin *a);
int command_check(admin *a);
int command_backup(admin *a);
int command_backup_verify(admin *a, const char *path);
int command_restore(admin *a);
int command_status(admin *a);
int command_catalog(admin *a);
int command_certificate(admin *a);
int command_packs(admin *a);
int command_audit(admin *a);
int command_query(admin *a);

/* blobs.c: the bytes of attachments in a backup, FILE.blobs or DIR/blobs. Copy what it lacks of
 * those that `copy`, its database, counts, and mark them as backed up; compare with what `database`
 * counts, or every file of a folder with its name; put back what `database` lacks. */
FB_MUST_USE fb_code blobs_backup(admin *a, const char *copy, const char *backup, bool is_folder,
                                 int64_t hold_ms, fb_error *err);
FB_MUST_USE fb_code blobs_folder_check(const admin *a, const char *backup, fb_error *err);
FB_MUST_USE fb_code blobs_verify(const admin *a, const char *database, const char *backup,
                                 bool is_folder, fb_error *err);
FB_MUST_USE fb_code blobs_restore(admin *a, const char *database, const char *backup,
                                  bool is_folder, fb_error *err);

/* packs.c: those made before this position go; nothing where there are none. */
FB_MUST_USE fb_code packs_forget(admin *a, int64_t before, fb_error *err);
/* erase.c: the list of erased persons goes with a backup (FILE.erased, DIR/persons.erased), and
 * comes back with it: `database`, still on its way to its place `to`, is erased again. */
FB_MUST_USE fb_code erased_backup(admin *a, const char *backup, bool is_folder, fb_error *err);
FB_MUST_USE fb_code erased_restore(const char *database, const char *to, const char *backup,
                                   bool is_folder, fb_error *err);
/* blobs.c: the bytes of attachments that were erased. */
struct erase_report;
FB_MUST_USE fb_code blobs_erase(admin *a, const struct erase_report *r, fb_error *err);

bool file_load(const char *path, buf *out);

#endif
