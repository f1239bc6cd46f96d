/* words.c - the commands of the client: which words name them, what they call. See cli.h. */
#include <string.h>

#include "cli.h"

#define ISO(column) "strftime('%Y-%m-%dT%H:%M:%SZ', " column " / 1000, 'unixepoch')"
#define MONEY(column)                                                                \
    "printf('%s%d.%02d', CASE WHEN " column " < 0 THEN '-' ELSE '' END, abs(" column \
    ") / 100, abs(" column ") % 100)"

/* Lists: ?1 is the customer's code or id, or ''. Newest first. */
#define OF_CUSTOMER "(?1 IS NULL OR k.code = ?1 OR k.id = ?1)"

static const char VISITS[] =
    "SELECT v.id, v.visit_no, k.code AS customer, k.name, "
    "v.visit_date, " ISO("v.check_in_at") " AS check_in_at, " ISO(
        "v.check_out_at") " AS check_out_at, v.geo_result, v.distance_m, "
                          "v.status FROM visit v "
                          "JOIN customer k ON k.id = v.customer_id "
                          "WHERE " OF_CUSTOMER " ORDER BY v.check_in_at DESC LIMIT 50";
static const char ORDERS[] =
    "SELECT o.id, o.order_no, k.code AS customer, k.name, o.order_date, o.currency, " MONEY(
        "o.total") " AS total, "
                   "o.status FROM sales_order o JOIN customer k ON k.id = o.customer_id "
                   "WHERE " OF_CUSTOMER " ORDER BY o.order_date DESC, o.id DESC LIMIT 50";
static const char PAYMENTS[] =
    "SELECT p.id, p.payment_no, k.code AS customer, k.name, p.payment_date, p.method, "
    "p.currency, " MONEY("p.amount") " AS amount, p.status FROM payment p JOIN customer k ON k.id "
                                     "= p.customer_id WHERE " OF_CUSTOMER
                                     " ORDER BY p.payment_date DESC, p.id DESC LIMIT 50";
static const char ACTIVITIES[] = "SELECT a.id, " ISO(
    "a.at") " AS at, k.code AS customer, k.name, a.type, a.subject, a.result_code, a.void_reason "
            "FROM activity a JOIN customer k ON k.id = a.customer_id WHERE " OF_CUSTOMER
            " ORDER BY a.at DESC, a.id DESC LIMIT 50";
static const char ATTACHMENTS[] = "SELECT a.id, a.kind, a.media_type, a.size_bytes, " ISO(
    "a.taken_at") " AS taken_at, k.code AS customer, v.visit_no, a.note FROM attachment a LEFT "
                  "JOIN visit v ON v.id = a.visit_id LEFT JOIN sales_order o ON o.id = "
                  "a.order_id LEFT JOIN payment p ON p.id = a.payment_id LEFT JOIN customer k "
                  "ON k.id = coalesce(a.customer_id, v.customer_id, o.customer_id, "
                  "p.customer_id) WHERE " OF_CUSTOMER " ORDER BY a.taken_at DESC, a.id DESC "
                  "LIMIT 50";
static const char TASKS[] = "SELECT t.id, t.title, t.kind, t.priority, " ISO(
    "t.due_at") " AS due_at, k.code AS customer, u.name AS assignee, "
                "t.status FROM task t LEFT JOIN customer k ON k.id = t.customer_id LEFT JOIN "
                "app_user u ON u.id = t.assignee_id "
                "WHERE t.status IN ('todo', 'doing') AND " OF_CUSTOMER
                " ORDER BY t.due_at IS NULL, t.due_at, t.id LIMIT 50";

/* clang-format off */
const cli_command CLI_COMMANDS[] = {
    {"enrol", NULL, run_enrol, NULL, "--server URL --ca FILE --code CODE [--name NAME] [--again]", TEXT_HELP_ENROL},
    {"sync", NULL, run_sync, NULL, "[--wait] [--rounds N] [--no-files | --metered thumbs|nothing|all] [--server URL] [--ca FILE]", TEXT_HELP_SYNC},
    {"status", NULL, run_command, "status", "", TEXT_HELP_STATUS},
    {"find", NULL, run_command, "customer.find", "[text]", TEXT_HELP_FIND},
    {"customer", "show", run_command, "customer.show", "customer", TEXT_HELP_SHOW},
    {"customer", "360", run_command, "customer.360", "customer", TEXT_HELP_360},
    {"customer", "add", run_command, "customer.add", "data", TEXT_HELP_ADD},
    {"customer", "set", run_command, "customer.set", "customer data", TEXT_HELP_SET},
    {"visit", "in", run_command, "visit.check_in", "customer", TEXT_HELP_IN},
    {"visit", "action", run_command, "visit.action", "action", TEXT_HELP_ACTION},
    {"visit", "out", run_command, "visit.check_out", "", TEXT_HELP_OUT},
    {"visit", "cancel", run_command, "visit.cancel", "reason", TEXT_HELP_CANCEL},
    {"visit", "open", run_command, "visit.open", "", TEXT_HELP_OPEN},
    {"visit", "list", run_list, VISITS, "[customer]", TEXT_HELP_LIST},
    {"order", "new", run_command, "order.new", "customer", TEXT_HELP_DRAFT},
    {"order", "line", run_command, "order.line", "order product qty", TEXT_HELP_LINE},
    {"order", "remove-line", run_command, "order.remove_line", "order line_no", TEXT_HELP_REMOVE_LINE},
    {"order", "submit", run_command, "order.submit", "order", TEXT_HELP_SUBMIT},
    {"order", "show", run_command, "order.show", "order", TEXT_HELP_SHOW},
    {"order", "list", run_list, ORDERS, "[customer]", TEXT_HELP_LIST},
    {"order", "cancel", run_command, "order.cancel", "order reason", TEXT_HELP_CANCEL},
    {"order", "discard", run_command, "order.discard", "order", TEXT_HELP_DISCARD},
    {"drafts", NULL, run_command, "order.drafts", "", TEXT_HELP_DRAFTS},
    {"payment", "add", run_command, "payment.add", "customer amount", TEXT_HELP_ADD},
    {"payment", "list", run_list, PAYMENTS, "[customer]", TEXT_HELP_LIST},
    {"activity", "add", run_command, "activity.add", "customer subject", TEXT_HELP_ADD},
    {"activity", "correct", run_command, "activity.correct", "activity data", TEXT_HELP_CORRECT},
    {"activity", "void", run_command, "activity.void", "activity reason", TEXT_HELP_VOID},
    {"activity", "list", run_list, ACTIVITIES, "[customer]", TEXT_HELP_LIST},
    {"attachment", "add", run_command, "attachment.add", "file", TEXT_HELP_ATTACH},
    {"attachment", "list", run_list, ATTACHMENTS, "[customer]", TEXT_HELP_LIST},
    {"attachment", "show", run_command, "attachment.show", "attachment", TEXT_HELP_BYTES},
    {"attachment", "want", run_command, "attachment.want", "attachment", TEXT_HELP_WANT},
    {"attachment", "save", run_attachment_save, NULL, "attachment FILE [--thumbnail]", TEXT_HELP_SAVE},
    {"attachment", "free", run_command, "attachment.free", "", TEXT_HELP_FREE},
    {"attachment", "count", run_command, "attachment.count", "", TEXT_HELP_COUNT},
    {"task", "add", run_command, "task.add", "title", TEXT_HELP_ADD},
    {"task", "done", run_command, "task.done", "task [result]", TEXT_HELP_DONE},
    {"task", "list", run_list, TASKS, "[customer]", TEXT_HELP_LIST},
    {"problems", "list", run_command, "problem.list", "", TEXT_HELP_PROBLEMS},
    {"problems", "show", run_command, "problem.show", "gseq", TEXT_HELP_SHOW},
    {"problems", "edit", run_command, "problem.resubmit", "gseq [patches]", TEXT_HELP_RESUBMIT},
    {"problems", "resubmit", run_command, "problem.resubmit", "gseq [patches]", TEXT_HELP_RESUBMIT},
    {"problems", "discard", run_command, "problem.discard", "gseq", TEXT_HELP_DISCARD},
    {"parked", "list", run_command, "parked.list", "", TEXT_HELP_PARKED},
    {"parked", "warnings", run_command, "warning.list", "", TEXT_HELP_WARNINGS},
    {"conflicts", NULL, run_command, "conflict.list", "", TEXT_HELP_CONFLICTS},
    {"held", "list", run_command, "held.list", "", TEXT_HELP_HELD},
    {"held", "show", run_command, "held.show", "held", TEXT_HELP_SHOW},
    {"held", "accept", run_command, "held.accept", "held", TEXT_HELP_ACCEPT},
    {"held", "reject", run_command, "held.reject", "held reason", TEXT_HELP_REJECT},
    {"query", NULL, run_command, "query", "sql", TEXT_HELP_QUERY},
    {"get", NULL, run_command, "record.get", "entity id", TEXT_HELP_GET},
    {"put", NULL, run_command, "record.put", "entity data", TEXT_HELP_PUT},
    {"delete", NULL, run_command, "record.delete", "entity id", TEXT_HELP_DELETE},
    {"pull", NULL, run_pull, NULL, "--out DIR|FILE [--format csv|ndjson|sqlite]", TEXT_HELP_PULL},
    {"batch", NULL, run_batch, NULL, "FILE [--continue]", TEXT_HELP_BATCH},
    {"entities", NULL, run_command, "entity.list", "[entity]", TEXT_HELP_ENTITIES},
    {"outbox", "export", run_outbox_export, NULL, "FILE", TEXT_HELP_OUTBOX_EXPORT},
    {"outbox", "import", run_outbox_import, NULL, "FILE", TEXT_HELP_OUTBOX_IMPORT},
    {"check", NULL, run_check, NULL, "", TEXT_HELP_CHECK},
    {"version", NULL, run_version, NULL, "", TEXT_HELP_VERSION},
    {"help", NULL, run_help, NULL, "[command]", TEXT_HELP_HELP},
};
/* clang-format on */

const size_t CLI_COMMANDS_COUNT = sizeof CLI_COMMANDS / sizeof CLI_COMMANDS[0];

const cli_command *command_of(const cli *c, int *taken_out)
{
    for (size_t i = 0; c->words_count > 0 && i < CLI_COMMANDS_COUNT; i++) {
        const cli_command *cmd = &CLI_COMMANDS[i];
        if (strcmp(cmd->noun, c->words[0]) != 0) {
            continue;
        }
        if (cmd->verb == NULL) {
            *taken_out = 1;
            return cmd;
        }
        if (c->words_count > 1 && strcmp(cmd->verb, c->words[1]) == 0) {
            *taken_out = 2;
            return cmd;
        }
    }
    return NULL;
}
