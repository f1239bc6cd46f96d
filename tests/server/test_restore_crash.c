/* test_restore_crash.c - the power goes at any call of a restore: the old database stands there, or
 * the new one as a whole, or the operator is told to run the restore again (RST-1 to RST-3).
 *
 * Method: the command itself, in a real folder, through plain files that keep a second folder with
 * what is on the platter: bytes once they are synced, names once their folder is. After every call
 * both are looked at: all survived (the process was killed), and nothing survived that was not
 * synced. Within a call that writes it goes too, and leaves a part of what was not synced: torn at
 * 512 and at 4,096 bytes, reordered, with a tail of noise, as in the crash grid. What SQLite writes
 * is synced when it has closed the file. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/posix/files.h"
#include "platform/posix/port.h"
#include "sync-server/admin/admin.h"
#include "sync-server/server.h"

#include <cmocka.h>
#undef fail

enum { PATH = 300, DIRTY_MAX = 8 };
static const char USAGE[] = "FILE|DIR [--to FILE] [--replace] | --confirm";

typedef struct bench {
    const char *from;
    char folder[64]; /* now/co: the company; platter/co; trial/co */
    fb_files port;
    fb_port clock;
    int64_t late_ms;
    char dirty[DIRTY_MAX][PATH]; /* written, and not synced since */
    int dirty_count;
    fb_id old_epoch, backup_epoch;
    int64_t old_head, backup_head;
    int calls, gaps; /* gaps: no database stood there */
    int torn;        /* looks at files of which a part survived */
} bench;

static int shell(const bench *b, const char *command)
{
    char line[700];
    snprintf(line, sizeof line, "cd %s && %s", b->folder, command);
    return system(line);
}

static int64_t wall(void *ctx)
{
    bench *b = ctx;
    const fb_port *p = fb_port_posix();
    b->late_ms += 1000;
    return p->wall_ms(p->ctx) + b->late_ms;
}

static fb_code noise(void *ctx, void *out, size_t size)
{
    const fb_port *p = fb_port_posix();
    (void)ctx;
    return p->random(p->ctx, out, size);
}

static uint64_t mono(void *ctx)
{
    const fb_port *p = fb_port_posix();
    (void)ctx;
    return p->mono_ms(p->ctx);
}

/* fieldbook-admin restore; its exit code. */
static int restore(bench *b, const char *home, bool replace)
{
    char source[PATH], option[] = "--replace", company[PATH];
    char *words[] = {source, option};
    admin a = {.home = company,
               .command = "restore",
               .usage = USAGE,
               .json = true,
               .port = &b->clock,
               .files = &b->port,
               .argc = replace ? 2 : 1,
               .argv = words};
    snprintf(source, sizeof source, "%s/%s", b->folder, b->from);
    snprintf(company, sizeof company, "%s/%s", b->folder, home);
    fflush(stdout);
    int out = dup(STDOUT_FILENO), nobody = open("/dev/null", O_WRONLY);
    assert_true(out >= 0 && nobody >= 0 && dup2(nobody, STDOUT_FILENO) >= 0);
    int code = command_restore(&a);
    fflush(stdout);
    assert_true(dup2(out, STDOUT_FILENO) >= 0);
    close(out);
    close(nobody);
    return code;
}

/* ---- what must stand ---- */

static bool is_there(const bench *b, const char *name)
{
    char path[PATH];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    return stat(path, &st) == 0;
}

static void facts_of(const bench *b, const char *name, backup_facts *out)
{
    char path[PATH];
    fb_error err = {0};
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    fb_code rc = backup_content_check(path, out, &err);
    if (rc != FB_OK) {
        print_error("%s: %s %s\n", name, fb_code_name(rc), err.message);
    }
    assert_int_equal(rc, FB_OK);
}

/* RST-2: what it was restored from is never served under its old epoch. */
static void new_is_whole(const bench *b, const backup_facts *f)
{
    assert_int_equal(f->head, b->backup_head);
    assert_false(id_equal(&f->epoch, &b->backup_epoch));
    assert_false(id_equal(&f->epoch, &b->old_epoch));
}

static void look(bench *b)
{
    char path[PATH];
    backup_facts f = {0};
    fb_files plain = b->port;
    snprintf(path, sizeof path, "%s/trial/co/master.db", b->folder);
    b->port = *fb_files_posix();
    if (is_there(b, "trial/co/master.db")) {
        facts_of(b, "trial/co/master.db", &f);
        bool old = f.head == b->old_head && id_equal(&f.epoch, &b->old_epoch);
        if (!old) {
            new_is_whole(b, &f);
        }
        assert_false(server_restore_was_cut(path));
    } else {
        b->gaps++;
        assert_true(server_restore_was_cut(path));
    }
    assert_int_equal(restore(b, "trial/co", is_there(b, "trial/co/master.db")), 0);
    facts_of(b, "trial/co/master.db", &f);
    new_is_whole(b, &f);
    /* RST-1: somewhere the old one is kept */
    assert_int_equal(shell(b,
                           "for f in trial/co/master.db.replaced-*; do case $f in *-wal|*-shm) ;; "
                           "*) test \"$(sqlite3 $f 'SELECT max(cid) FROM fs_commit')\" = "
                           "\"$(cat old)\" && exit 0;; esac; done; exit 1"),
                     0);
    b->port = plain;
}

typedef enum fate { TORN_512, TORN_4096, REORDERED, GARBAGE, FATES } fate;

/* What lasts of bytes that were never synced: the front up to the middle, by sectors; or what was
 * written last and nothing before it; or the front, and noise. */
static void tear(char *bytes, size_t size, fate f)
{
    size_t sector = f == TORN_512 ? 512 : 4096;
    size_t middle = size / 2 / sector * sector + sector;
    middle = middle < size ? middle : size / 2;
    if (f == REORDERED) {
        memset(bytes, 0, middle);
        return;
    }
    for (size_t i = middle; i < size; i++) {
        bytes[i] = f == GARBAGE ? (char)(i * 31 + 7) : 0;
    }
}

static void put_torn(const bench *b, const char *path, fate f)
{
    static char bytes[8 << 20];
    char to[PATH];
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t size = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    assert_true(size < sizeof bytes);
    tear(bytes, size, f);
    snprintf(to, sizeof to, "%s/trial/%s", b->folder, path + strlen(b->folder) + strlen("/now/"));
    FILE *out = fopen(to, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* In the middle of a call that writes: every file that waits for its sync, torn in each way. */
static void power_lost_within(bench *b)
{
    for (int f = 0; f < FATES; f++) {
        b->torn++;
        assert_int_equal(shell(b, "rm -rf trial && cp -r platter trial"), 0);
        for (int i = 0; i < b->dirty_count; i++) {
            put_torn(b, b->dirty[i], (fate)f);
        }
        look(b);
    }
}

static void power_lost(bench *b)
{
    b->calls++;
    assert_int_equal(shell(b, "rm -rf trial && cp -r now trial"), 0);
    look(b);
    assert_int_equal(shell(b, "rm -rf trial && cp -r platter trial"), 0);
    look(b);
}

/* ---- plain files that know what is on the platter ---- */

static void platter_path(const bench *b, const char *path, char out[PATH])
{
    size_t n = strlen(b->folder) + strlen("/now/");
    snprintf(out, PATH, "%s/platter/%s", b->folder, path + n);
}

static int dirty_find(const bench *b, const char *path)
{
    for (int i = 0; i < b->dirty_count; i++) {
        if (strcmp(b->dirty[i], path) == 0) {
            return i;
        }
    }
    return -1;
}

static void copy(const char *from, const char *to)
{
    char line[2 * PATH + 20];
    snprintf(line, sizeof line, "cp %s %s", from, to);
    assert_int_equal(system(line), 0);
}

static fb_code put(void *ctx, const char *path, int64_t offset, fb_text bytes, bool sync)
{
    bench *b = ctx;
    char platter[PATH];
    const fb_files *real = fb_files_posix();
    FB_TRY(real->write(real->ctx, path, offset, bytes, sync));
    int at = dirty_find(b, path);
    if (at < 0) {
        assert_true(b->dirty_count < DIRTY_MAX);
        at = b->dirty_count++;
        snprintf(b->dirty[at], PATH, "%s", path);
    }
    power_lost_within(b);
    platter_path(b, path, platter);
    if (sync) {
        copy(path, platter);
        memmove(b->dirty[at], b->dirty[--b->dirty_count], PATH);
    }
    power_lost(b);
    return FB_OK;
}

/* A name may last and the bytes behind it not: then the file is empty. */
static fb_code move(void *ctx, const char *from, const char *to)
{
    bench *b = ctx;
    char old[PATH], new[PATH];
    const fb_files *real = fb_files_posix();
    platter_path(b, from, old);
    platter_path(b, to, new);
    if (dirty_find(b, from) < 0) {
        copy(from, new);
    } else {
        FILE *empty = fopen(new, "w");
        assert_non_null(empty);
        fclose(empty);
    }
    (void)unlink(old);
    FB_TRY(real->rename(real->ctx, from, to));
    power_lost(b);
    return FB_OK;
}

/* Not on the platter until something else is synced; it may stay there for good. */
static fb_code drop(void *ctx, const char *path)
{
    const fb_files *real = fb_files_posix();
    FB_TRY(real->remove(real->ctx, path));
    power_lost(ctx);
    return FB_OK;
}

/* ---- */

static int setup(void **state)
{
    static bench b;
    char line[600];
    backup_facts f = {0};
    b = (bench){
        .from = "backup", .port = *fb_files_posix(), .clock = {&b, mono, wall, noise, NULL}};
    b.port.ctx = &b;
    b.port.write = put;
    b.port.rename = move;
    b.port.remove = drop;
    snprintf(b.folder, sizeof b.folder, "/tmp/fb_cut_XXXXXX");
    assert_non_null(mkdtemp(b.folder));
    snprintf(line, sizeof line,
             "mkdir -p now/co && A='%s/fieldbook-admin --home now/co' && $A init --company Acme "
             ">/dev/null && $A backup backup >/dev/null && $A setting set order.credit_check 1 "
             ">/dev/null && $A backup shelf/ >/dev/null && $A setting set order.credit_check 2 "
             ">/dev/null",
             FB_BINARY_DIR);
    assert_int_equal(shell(&b, line), 0);
    facts_of(&b, "backup", &f);
    b.backup_head = f.head;
    b.backup_epoch = f.epoch;
    facts_of(&b, "now/co/master.db", &f);
    b.old_head = f.head;
    b.old_epoch = f.epoch;
    assert_true(b.old_head > b.backup_head);
    snprintf(line, sizeof line, "echo %lld > old && cp -r now platter", (long long)b.old_head);
    assert_int_equal(shell(&b, line), 0);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    const bench *b = *state;
    char line[100];
    snprintf(line, sizeof line, "rm -rf %s", b->folder);
    return system(line);
}

static void is_put_back(bench *b)
{
    backup_facts f = {0};
    assert_int_equal(restore(b, "now/co", true), 0);
    facts_of(b, "now/co/master.db", &f);
    new_is_whole(b, &f);
    assert_true(b->calls >= 8 && b->gaps >= 2);
    assert_true(b->torn >= FATES);
    assert_false(is_there(b, "now/co/master.db.restoring"));
}

static void a_single_file_is_put_back_whole_or_not_at_all(void **state)
{
    is_put_back(*state);
}

/* The newest moment of the folder lacks the last commit only. */
static void a_moment_of_a_folder_is_put_back_whole_or_not_at_all(void **state)
{
    bench *b = *state;
    b->from = "shelf";
    b->backup_head = b->old_head - 1;
    is_put_back(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_single_file_is_put_back_whole_or_not_at_all, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_moment_of_a_folder_is_put_back_whole_or_not_at_all, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("restore_crash", tests, NULL, NULL);
}
