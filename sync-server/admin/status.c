/* status.c - does a person have to do something? One look for people, one exit code for monitoring.
 * See admin.h.
 *
 * Every fact is one number by one query. Some are alarms beyond a bound; then the cure stands
 * beside them and the exit code is 3. */
#include "sync-server/admin/admin.h"

#include <string.h>

#include "sql/sql.h"
#include "sync-server/server.h"
#include "wire/json.h"

enum { BACKUP_HOURS_MAX = 26, BACKUP_HOURS_LIMIT = 10000 };

/* alarm_above: the fact is an alarm beyond this; -1: never. ?1 is now, ms. */
typedef struct fact {
    const char *name, *sql;
    int64_t alarm_above;
    const char *cure_en, *cure_zh;
} fact;

/* clang-format off */
/* A phone that was put back begins a new incarnation once; copies in turn, every time (T4). */
#define WEEK_MS "604800000"
#define LIVES_A_WEEK "4"
#define OPEN_HELD "FROM fs_verdict WHERE code = 4 AND state = 0"
static const fact FACTS[] = {
    {"commit", "SELECT ifnull(max(cid), 0) FROM fs_commit", -1, "", ""},
    {"backed_up_commit", "SELECT ifnull((SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM fs_meta WHERE key = 'backed_up_cid'), 0)", -1, "", ""},
    {"backup_age_hours", "SELECT (?1 - ifnull((SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM fs_meta WHERE key = 'backed_up_ms'),"
     " (SELECT min(at_ms) FROM fs_commit))) / 3600000", BACKUP_HOURS_MAX,
     "make a backup: phones keep everything until there is one", "请立即备份: 在此之前手机会保留全部数据"},
    {"devices_active", "SELECT count(*) FROM fs_device WHERE status = 'active'", -1, "", ""},
    {"held", "SELECT count(*) " OPEN_HELD, -1, "", ""},
    {"poison", "SELECT count(*) " OPEN_HELD " AND instr(verdict, '\"err\":\"E_POISON\"') > 0", 0,
     "groups that crash the server: see held list, keep log and database, report them", "存在导致服务器崩溃的数据组: 见 held list, 保留日志与数据库并上报"},
    {"attempts", "SELECT count(*) FROM fs_attempt WHERE tries > 1", 0,
     "groups on which the server failed again and again: look into its log", "服务器多次处理失败的数据组: 请查看日志"},
    {"phones_copied", "SELECT count(*) FROM (SELECT 1 FROM fs_incarnation WHERE since_ms > ?1 - " WEEK_MS
     " GROUP BY device HAVING count(*) > " LIVES_A_WEEK ")", 0,
     "devices begin anew again and again, as copies of one phone do: see the manual, enrol one of them anew",
     "有设备反复重新开始, 像是同一手机被复制: 请查阅手册, 并让其中一台重新注册"},
    {"conflicts_open", "SELECT count(*) FROM conflict WHERE state = 'open'", -1, "", ""},
};
/* clang-format on */
enum { FACTS_COUNT = sizeof FACTS / sizeof FACTS[0] };

typedef struct status {
    admin *a;
    int64_t values[FACTS_COUNT];
    int64_t backup_hours_max;
    fb_code mark; /* E_EPOCH: the database was put back in secret */
    fb_error mark_says;
} status;

static fb_code fact_get(status *s, size_t i, fb_error *err)
{
    sql_stmt *q = NULL;
    bool row = false;
    FB_TRY(store_query(s->a->db, text_of(FACTS[i].sql), &q, err));
    if (strstr(FACTS[i].sql, "?1") != NULL) {
        sql_bind_int(q, 1, s->a->port->wall_ms(s->a->port->ctx));
    }
    fb_code rc = sql_step(q, &row);
    if (rc == FB_OK && row) {
        s->values[i] = sql_int(q, 0);
    }
    sql_finalize(q);
    return rc;
}

static bool is_alarm(const status *s, size_t i)
{
    int64_t above =
        FACTS[i].alarm_above == BACKUP_HOURS_MAX ? s->backup_hours_max : FACTS[i].alarm_above;
    return above >= 0 && s->values[i] > above;
}

static bool status_print(const status *s)
{
    bool alarm = s->mark == FB_E_EPOCH;
    for (size_t i = 0; i < FACTS_COUNT; i++) {
        const fact *f = &FACTS[i];
        bool one = is_alarm(s, i);
        alarm |= one;
        if (!s->a->json) {
            printf("%s %-18s %lld%s%s\n", one ? "!" : " ", f->name, (long long)s->values[i],
                   one ? "  " : "",
                   !one            ? ""
                   : s->a->chinese ? f->cure_zh
                                   : f->cure_en);
        }
    }
    if (!s->a->json && s->mark == FB_E_EPOCH) {
        printf("! %-18s %s\n", "database", s->mark_says.message);
    }
    return alarm;
}

static void status_json(const status *s)
{
    json_writer w;
    buf out;
    buf_init(&out, 1 << 16);
    json_writer_init(&w, &out);
    json_put_object(&w);
    for (size_t i = 0; i < FACTS_COUNT; i++) {
        json_put_key(&w, FACTS[i].name);
        json_put_int_string(&w, s->values[i]);
    }
    json_put_key(&w, "alarms");
    json_put_array(&w);
    for (size_t i = 0; i < FACTS_COUNT; i++) {
        if (is_alarm(s, i)) {
            json_put_str(&w, FACTS[i].name);
        }
    }
    if (s->mark == FB_E_EPOCH) {
        json_put_str(&w, "database");
    }
    json_put_end(&w);
    json_put_end(&w);
    puts(buf_cstr(&out));
    buf_clear(&out);
}

int command_status(admin *a)
{
    status s = {.a = a, .backup_hours_max = BACKUP_HOURS_MAX};
    fb_error err = {0};
    char path[4096];
    const char *hours = option_take(a, "--backup-hours");
    bool good =
        hours == NULL || (i64_get(text_of(hours), &s.backup_hours_max) && s.backup_hours_max > 0 &&
                          s.backup_hours_max <= BACKUP_HOURS_LIMIT);
    if (options_left(a) || !good || a->argc != 0) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "--backup-hours 1..10000", a->command);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < FACTS_COUNT; i++) {
        fb_code rc = fact_get(&s, i, &err);
        if (rc != FB_OK) {
            return admin_failed(a, rc, &err);
        }
    }
    snprintf(path, sizeof path, "%s/master.db", a->home);
    s.mark = server_mark_check(path, NULL, a->db, &s.mark_says);
    if (a->json) {
        status_json(&s);
    }
    return status_print(&s) ? EXIT_ALARM : EXIT_DONE;
}
