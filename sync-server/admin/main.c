/* main.c - fieldbook-admin: see admin.h. Composition root of the tool. */
#include "sync-server/admin/admin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "platform/posix/files.h"
#include "platform/posix/port.h"

typedef struct command {
    const char *name;
    int (*run)(admin *a);
    bool needs_store;
    const char *usage; /* arguments */
    const char *about_en, *about_zh;
} command;

/* clang-format off */
static const command COMMANDS[] = {
    {"init", command_init, false, "--company NAME [--code CODE] [--host HOST,...] [--port N] [--listen ADDRESS]",
     "create a company: certificate authority, server certificate, configuration, database", "创建公司: 证书、配置与数据库"},
    {"entities", command_entities, true, "[ENTITY]", "list entities, or the columns of one", "列出实体或某实体的列"},
    {"import", command_import, true, "ENTITY FILE.csv [--key COLUMN[,COLUMN]] [--dry-run] [--skip-bad]",
     "add or change rows from CSV; the first line names columns; references by business key", "从CSV导入; 首行为列名; 引用可用业务编码"},
    {"realign", command_realign, true, "FILE.csv | --from TERRITORY --to TERRITORY [--where COLUMN=VALUE ...] [--dry-run]",
     "move many customers to other territories at once; the file's first line is customer,territory", "批量调整客户的区域; 文件首行为 customer,territory"},
    {"export", command_export, true, "ENTITY [--out FILE] [--format csv|ndjson]", "write all rows of an entity", "导出实体的全部记录"},
    {"add", command_add, true, "ENTITY column=value ...", "add one row", "新增一条记录"},
    {"set", command_set, true, "ENTITY KEY column=value ...", "change one row found by its business key or id", "按业务编码或标识修改一条记录"},
    {"list", command_list, true, "ENTITY [--limit N]", "show rows", "显示记录"},
    {"setting", command_setting, true, "list | set KEY VALUE", "show or change company settings", "查看或修改公司参数"},
    {"code", command_code, true, "make USER [--minutes N]", "make a one-time enrolment code for a user's device", "为用户设备生成一次性注册码"},
    {"device", command_device, true, "list | block CODE | activate CODE | wipe CODE", "show and control devices", "查看和控制设备"},
    {"held", command_held, true, "list | accept ID|DEVICE NUMBER | refuse ID|DEVICE NUMBER --reason TEXT",
     "groups that wait for a decision: show and decide them", "查看并决定待审批的数据组"},
    {"erase", command_erase, true, "ENTITY KEY --reason TEXT [--dry-run]",
     "erase a person's data (customer or contact) from rows, kept groups, packs and files, here and on every device; orders stay without the person",
     "按个人要求删除其个人信息(客户或联系人): 记录、保留的数据组、数据包与附件, 服务器与所有设备; 订单保留但不含个人信息"},
    {"conflict", command_conflict, true, "list [--all] | settle ID mine|theirs|base|value [--value TEXT] --reason TEXT",
     "values that lost a merge: show them, decide which one stands", "合并中未采用的值: 查看并决定保留哪个"},
    {"catalog", command_catalog, true, "show | add FILE.json", "show the catalogue, or add entities and columns", "查看目录, 或新增实体与字段"},
    {"certificate", command_certificate, false, "show | renew [--host HOST,...] [--days N]",
     "show the server's certificate, or issue a new one for the same or other names", "查看服务器证书, 或为原有或新的名称签发新证书"},
    {"blobs", command_blobs, true, "list | check [--repair] | missing | collect",
     "photos and documents: list, compare with their hashes, what has not arrived, remove what nobody names", "附件: 列出、校验、未到达、清理无引用的内容"},
    {"status", command_status, true, "[--backup-hours N]", "what needs a person: held and poisonous groups, age of the backup, conflicts; exit code 3 if something does",
     "需要人工处理的事项: 待批与有毒数据组、备份时间、冲突; 有则退出码为3"},
    {"check", command_check, true, "", "check database, audit chain and feed", "检查数据库、审计链与变更流"},
    {"backup", command_backup, false, "FILE | DIR/ [--full] [--keep N] [--hold-days N] | list DIR | verify FILE|DIR | drill DIR",
     "copy the database while the server runs: whole into FILE, or what changed into DIR; check copies; try a restore out",
     "在运行中备份: 完整备份到文件, 或增量备份到目录; 校验备份; 恢复演练"},
    {"restore", command_restore, false, "FILE|DIR [--at TIME | --commit N | --number N] [--to FILE] [--replace] | --confirm",
     "put a backup back and begin a new epoch; from DIR: the newest one not after that moment; --confirm: it was put back by hand",
     "恢复备份并开始新纪元; 目录: 取不晚于指定时刻的最新备份; --confirm: 数据库已手工恢复"},
    {"packs", command_packs, true, "list | rebuild | drop",
     "row packs for first downloads: show them, make them all now, or forget them", "首次下载用的数据包: 查看、立即全部重建或删除"},
    {"audit", command_audit, true, "[--limit N]", "show the audit log, newest first", "查看审计日志"},
    {"query", command_query, true, "SQL", "read-only SQL on the master data", "只读SQL查询"},
};
/* clang-format on */

static void usage(const admin *a)
{
    fputs(admin_text(a, TEXT_USAGE_HEAD), stdout);
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        const command *c = &COMMANDS[i];
        printf("  %-11s %s\n              %s\n", c->name, a->chinese ? c->about_zh : c->about_en,
               c->usage);
    }
    fputs(admin_text(a, TEXT_USAGE_TAIL), stdout);
}

static const command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (strcmp(COMMANDS[i].name, name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

static int command_run(admin *a, const command *c)
{
    uint8_t random[8];
    if (a->port->random(a->port->ctx, random, sizeof random) != FB_OK) {
        return admin_failed(a, FB_E_IO, NULL);
    }
    id_maker_init(&a->ids, random);
    if (!c->needs_store) {
        return c->run(a);
    }
    char path[4096];
    fb_error err = {0};
    snprintf(path, sizeof path, "%s/master.db", a->home);
    fb_code rc = store_open(&(store_options){.path = path}, &a->db, &err);
    if (rc == FB_E_NOT_FOUND) {
        return admin_no_company(a);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    int exit_code = c->run(a);
    store_close(a->db);
    return exit_code;
}

static bool language_is_chinese(admin *a)
{
    const char *lang = option_take(a, "--lang");
    if (lang == NULL) {
        lang = getenv("LANG");
    }
    return lang != NULL && strncmp(lang, "zh", 2) == 0;
}

int main(int argc, char **argv)
{
    admin a = {.home = ".",
               .port = fb_port_posix(),
               .files = fb_files_posix(),
               .argc = argc - 1,
               .argv = argv + 1};
    (void)umask(077); /* database, copies and exports hold personal data */
    const char *home = option_take(&a, "--home");
    a.home = home != NULL ? home : a.home;
    a.json = flag_take(&a, "--json");
    a.chinese = language_is_chinese(&a);
    if (a.argc == 0 || strcmp(a.argv[0], "help") == 0 || strcmp(a.argv[0], "--help") == 0) {
        usage(&a);
        return a.argc == 0 ? EXIT_USAGE : EXIT_DONE;
    }
    const command *c = command_find(a.argv[0]);
    if (c == NULL) {
        bool bare = strcmp(a.argv[0], "--home") == 0 || strcmp(a.argv[0], "--lang") == 0;
        admin_warn(&a, bare ? TEXT_OPTION_VALUE : TEXT_UNKNOWN_COMMAND, a.argv[0], "");
        return EXIT_USAGE;
    }
    a.command = c->name;
    a.usage = c->usage;
    a.argc--;
    a.argv++;
    for (int i = 0; i < a.argc; i++) { /* a reason, a name: what stands in a row reaches devices */
        if (!utf8_valid(text_of(a.argv[i]))) {
            admin_warn(&a, TEXT_NOT_UTF8, c->name, "");
            return EXIT_USAGE;
        }
    }
    if (flag_take(&a, "--help")) {
        printf("fieldbook-admin %s %s\n  %s\n", c->name, c->usage,
               a.chinese ? c->about_zh : c->about_en);
        return EXIT_DONE;
    }
    return command_run(&a, c);
}
