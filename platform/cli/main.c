/* main.c - `fieldbook`: global options, dispatch, and the commands that need nothing else. See
 * cli.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli.h"
#include "platform/posix/files.h"
#include "platform/posix/port.h"

/* --now: a clock that stands still, for tests. */
static int64_t fixed_wall_ms(void *ctx)
{
    return *(const int64_t *)ctx;
}

typedef struct fixed_clock {
    int64_t wall_ms;
    fb_port real;
} fixed_clock;

static uint64_t real_mono_ms(void *ctx)
{
    const fixed_clock *f = ctx;

    return f->real.mono_ms(f->real.ctx);
}

static fb_code real_random(void *ctx, void *out, size_t size)
{
    const fixed_clock *f = ctx;

    return f->real.random(f->real.ctx, out, size);
}

static void use_fixed_clock(cli *c, fixed_clock *f, const char *now)
{
    f->wall_ms = strtoll(now, NULL, 10);
    f->real = c->port;
    c->port = (fb_port){
        .ctx = f, .mono_ms = real_mono_ms, .wall_ms = fixed_wall_ms, .random = real_random};
}

/* Minutes east of UTC of this machine, or as --tz says. */
static int32_t local_tz_min(void)
{
    time_t now = time(NULL);
    struct tm local;

    return localtime_r(&now, &local) == NULL ? 0 : (int32_t)(local.tm_gmtoff / 60);
}

static const char *default_lang(void)
{
    static const char *const NAMES[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        const char *value = getenv(NAMES[i]);
        if (value != NULL && value[0] != '\0') {
            return strncmp(value, "zh", 2) == 0 ? "zh" : "en";
        }
    }
    return "en";
}

/* --- reading argv
 * --------------------------------------------------------------------------------- */

static int take_option(cli *c, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    const char *value = "true";

    if (!is_flag(name)) {
        if (*i + 1 >= argc) {
            return usage_error(c, TEXT_NO_VALUE, argv[*i]);
        }
        value = argv[++*i];
    }
    if (c->options_count == OPTIONS_MAX) {
        return usage_error(c, TEXT_TOO_MANY, argv[*i]);
    }
    c->options[c->options_count++] = (cli_option){name, value};
    return EXIT_DONE;
}

static int read_argv(cli *c, int argc, char **argv)
{
    bool only_words = false;

    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && strncmp(argv[i], "--", 2) == 0) {
            int rc = take_option(c, argc, argv, &i);
            if (rc != EXIT_DONE) {
                return rc;
            }
        } else if (c->words_count == WORDS_MAX) {
            return usage_error(c, TEXT_TOO_MANY, argv[i]);
        } else {
            c->words[c->words_count++] = argv[i];
        }
    }
    return EXIT_DONE;
}

/* Take an option of the program itself out of the list: the rest goes to the command. */
static const char *take_global(cli *c, const char *name)
{
    const char *value = NULL;
    int kept = 0;

    for (int i = 0; i < c->options_count; i++) {
        if (strcmp(c->options[i].name, name) == 0) {
            value = c->options[i].value;
        } else {
            c->options[kept++] = c->options[i];
        }
    }
    c->options_count = kept;
    return value;
}

static void take_globals(cli *c, fixed_clock *clock)
{
    const char *lang = take_global(c, "lang");
    const char *tz = take_global(c, "tz");
    const char *now = take_global(c, "now");
    const char *db = take_global(c, "db");

    c->json = take_global(c, "json") != NULL;
    c->quiet = take_global(c, "quiet") != NULL || c->json;
    c->db_path = db != NULL ? db : getenv("FIELDBOOK_DB");
    if (lang != NULL) {
        c->lang = strncmp(lang, "zh", 2) == 0 ? "zh" : "en";
    }
    c->tz_offset_min = tz != NULL ? (int32_t)strtol(tz, NULL, 10) : local_tz_min();
    if (now != NULL) {
        use_fixed_clock(c, clock, now);
    }
}

/* --- simple commands
 * ------------------------------------------------------------------------------ */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int no_replica(const cli *c)
{
    fputs("fieldbook: ", stderr);
    fprintf(stderr, say(c, TEXT_NO_REPLICA), c->db_path);
    fputc('\n', stderr);
    return EXIT_FAILED;
}
#pragma GCC diagnostic pop

int open_db(cli *c, bool create)
{
    fb_db_options o = FB_DB_OPTIONS_INIT;
    fb_error err;

    if (c->db_path == NULL) {
        return usage_error(c, TEXT_NO_DB, NULL);
    }
    o.port = &c->port;
    o.files = fb_files_posix();
    o.create = create;
    o.tz_offset_min = c->tz_offset_min;
    fb_code rc = fb_db_open(c->db_path, &o, &c->db, &err);
    if (rc == FB_E_NOT_FOUND) {
        return no_replica(c);
    }
    return rc == FB_OK ? EXIT_DONE : report(c, &err);
}

int run_command(cli *c, const cli_command *cmd)
{
    fb_error err;
    char *result = NULL;
    char *args = args_json(c, cmd, cmd->verb == NULL ? 1 : 2);

    if (args == NULL) {
        return EXIT_USAGE;
    }
    int rc = open_db(c, false);
    if (rc == EXIT_DONE && fb_command_run(c->db, cmd->op, args, &result, &err) != FB_OK) {
        rc = report(c, &err);
    }
    if (rc == EXIT_DONE) {
        show_json(c, result);
    }
    fb_string_free(result);
    free(args);
    return rc;
}

int run_list(cli *c, const cli_command *cmd)
{
    fb_error err;
    char *params = NULL;
    char *result = NULL;
    size_t size = 0;
    int word = cmd->verb == NULL ? 1 : 2;
    FILE *out = open_memstream(&params, &size);

    if (out == NULL) {
        return EXIT_FAILED;
    }
    fputc('[', out);
    if (word < c->words_count) {
        put_json_string(out, c->words[word]);
    } else {
        fputs("null", out);
    }
    fputc(']', out);
    (void)fclose(out);
    int rc = open_db(c, false);
    if (rc == EXIT_DONE && fb_query_json(c->db, cmd->op, params, &result, &err) != FB_OK) {
        rc = report(c, &err);
    }
    if (rc == EXIT_DONE) {
        show_json(c, result);
    }
    fb_string_free(result);
    free(params);
    return rc;
}

int run_check(cli *c, const cli_command *cmd)
{
    fb_error err;
    int rc = open_db(c, false);

    (void)cmd;
    if (rc == EXIT_DONE && fb_db_check(c->db, &err) != FB_OK) {
        rc = report(c, &err);
    }
    if (rc == EXIT_DONE) {
        printf("%s\n", c->json ? "{\"sound\":true}" : say(c, TEXT_SOUND));
    }
    return rc;
}

int run_version(cli *c, const cli_command *cmd)
{
    (void)cmd;
    if (c->json) {
        printf("{\"version\":\"%s\",\"protocol\":%u}\n", fb_version_text(), fb_version_protocol());
    } else {
        printf("fieldbook %s, protocol %u\n", fb_version_text(), fb_version_protocol());
    }
    return EXIT_DONE;
}

/* The options of one command of the library, for `help WORD`. */
typedef struct option_search {
    const char *op;
} option_search;

static fb_code put_options(void *ctx, const fb_command_info *info)
{
    const option_search *s = ctx;

    if (strcmp(info->name, s->op) == 0) {
        for (const char *p = info->optional; *p != '\0';) {
            size_t size = strcspn(p, " ");
            printf("%s--%.*s VALUE", p == info->optional ? "      " : " ", (int)size, p);
            p += size + strspn(p + size, " ");
        }
        printf("%s", info->optional[0] == '\0' ? "" : "\n");
    }
    return FB_OK;
}

static void help_line(const cli *c, const cli_command *k, bool options)
{
    char words[200];
    option_search s = {k->op};

    (void)snprintf(words, sizeof words, "%s %s%s%s", k->noun, k->verb == NULL ? "" : k->verb,
                   k->verb == NULL ? "" : " ", k->positional);
    printf("  %-58s %s\n", words, say(c, k->help));
    if (options && k->run == run_command) {
        (void)!fb_command_each(put_options, &s);
    }
}

int run_help(cli *c, const cli_command *cmd)
{
    const char *only = cmd != NULL && c->words_count > 1 ? c->words[1] : NULL;

    printf("%s\n%s\n\n%s\n", say(c, TEXT_USAGE), say(c, TEXT_OPTIONS), say(c, TEXT_COMMANDS));
    for (size_t i = 0; i < CLI_COMMANDS_COUNT; i++) {
        if (only == NULL || strcmp(only, CLI_COMMANDS[i].noun) == 0) {
            help_line(c, &CLI_COMMANDS[i], only != NULL);
        }
    }
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    cli c = {.lang = default_lang(), .port = *fb_port_posix()};
    fixed_clock clock;
    int taken = 0;

    (void)umask(077); /* replicas and exports hold personal data */
    int rc = read_argv(&c, argc, argv);
    if (rc != EXIT_DONE) {
        return rc;
    }
    take_globals(&c, &clock);
    if (take_global(&c, "help") != NULL || c.words_count == 0) {
        rc = run_help(&c, NULL);
        return c.words_count == 0 ? EXIT_USAGE : rc;
    }
    const cli_command *cmd = command_of(&c, &taken);
    if (cmd == NULL) {
        return usage_error(&c, TEXT_NO_COMMAND, c.words[0]);
    }
    rc = cmd->run(&c, cmd);
    fb_db_close(c.db);
    if (fflush(stdout) != 0 && rc == EXIT_DONE) {
        rc = EXIT_FAILED;
    }
    return rc;
}
