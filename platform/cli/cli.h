/* cli.h - `fieldbook`, the headless client: the public API on the command line.
 *
 *   main.c     global options, dispatch, exit codes      words.c  the table of commands
 *   args.c     argv to the JSON arguments of a command   show.c   JSON results as text for people
 *   sync_run.c enrolment, synchronisation                pull.c   everything in scope into files
 *   files_run.c  photos and documents: bytes up and down, one written out
 *   batch.c    many groups from a file                   say.c    texts in two languages, errors
 *
 * It calls only fieldbook/ and the public functions of platform/posix: what it can do, an app can
 * do. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the server was not reached, 4 refused: correct
 * the input. */
#ifndef FB_CLI_CLI_H
#define FB_CLI_CLI_H

#include <stdio.h>

#include "fieldbook/fieldbook.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_OFFLINE = 3, EXIT_REFUSED = 4 };
enum { WORDS_MAX = 64, OPTIONS_MAX = 64, PATH_BYTES_MAX = 4096 };

typedef enum cli_text {
#define X(name, en, zh) TEXT_##name,
#include "text.def"
#undef X
    TEXT_COUNT
} cli_text;

typedef struct cli_option {
    const char *name;  /* as in "--name" */
    const char *value; /* "true" for flags */
} cli_option;

typedef struct cli {
    const char *db_path;
    const char *lang; /* "en" or "zh" */
    bool json, quiet;
    fb_port port;
    int32_t tz_offset_min;
    const char *words[WORDS_MAX]; /* what is neither option nor value; the command comes first */
    int words_count;
    cli_option options[OPTIONS_MAX];
    int options_count;
    fb_db *db; /* NULL until opened */
} cli;

typedef struct cli_command {
    const char *noun, *verb; /* verb NULL: one word */
    int (*run)(cli *c, const struct cli_command *cmd);
    const char *op;         /* command of fieldbook/command.h, or SQL for lists */
    const char *positional; /* names of its positional arguments, "[name]" when it may be left out;
                               "data" and "patches" take the rest */
    cli_text help;
} cli_command;

/* --- words.c --- */
extern const cli_command CLI_COMMANDS[];
extern const size_t CLI_COMMANDS_COUNT;
/* The command of c->words; *taken_out: how many words name it. NULL: none. */
const cli_command *command_of(const cli *c, int *taken_out);

/* --- say.c --- */
const char *say(const cli *c, cli_text t);
/* Print the failure on stderr; returns the exit code it means. */
int report(const cli *c, const fb_error *err);
int usage_error(const cli *c, cli_text t, const char *what);

/* --- args.c --- */
const char *option(const cli *c, const char *name); /* NULL: not given */
bool is_flag(const char *name);
/* No options but these, whose names are separated by blanks; false: said which one is unknown. */
bool options_only(const cli *c, const char *names);
/* JSON arguments of the command: positional words by name, options by name. The caller frees. NULL:
 * said why. */
char *args_json(const cli *c, const cli_command *cmd, int first_word);
void put_json_string(FILE *out, const char *text);

/* --- show.c --- */
void show_json(const cli *c, const char *json); /* as text, or as it is with --json */

/* --- handlers --- */
int open_db(cli *c, bool create); /* EXIT_DONE or said why */
int run_command(cli *c, const cli_command *cmd);
int run_list(cli *c, const cli_command *cmd);
int run_enrol(cli *c, const cli_command *cmd);
int run_sync(cli *c, const cli_command *cmd);
int run_lane(const cli *c, const fb_link *link); /* files_run.c: bytes of attachments, once */
int run_attachment_save(cli *c, const cli_command *cmd);
int run_pull(cli *c, const cli_command *cmd);
int run_batch(cli *c, const cli_command *cmd);
int run_outbox_export(cli *c, const cli_command *cmd);
int run_outbox_import(cli *c, const cli_command *cmd);
int run_check(cli *c, const cli_command *cmd);
int run_version(cli *c, const cli_command *cmd);
int run_help(cli *c, const cli_command *cmd);

#endif
