/* judge.c - which event goes where, what is broken, and which invariants had evidence. See check.h.
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *id;
    invariant of;
    const char *words;
} CHECK_TABLE[] = {
#define X(name, invariant, text) {#name, invariant, text},
#include "checks.def"
#undef X
};

static const struct {
    const char *id, *needs;
} INVARIANT_TABLE[INVARIANTS] = {
    [I1] = {"I1", "a final \"dump\" of the server and of every device"},
    [I2] = {"I2", "\"saved\" and a final \"dump\" of every device"},
    [I3] = {"I3", "a \"change\" that deletes"},
    [I4] = {"I4", "a \"commit\" of a group, or a \"view\""},
    [I5] = {"I5", "a \"decide\""},
    [I6] = {"I6", "a \"decide\""},
    [I7] = {"I7", "\"show\" or \"promote\""},
    [I8] = {"I8", "a \"row\", or a \"canary\" of a territory"},
    [I9] = {"I9", "\"epoch\" and a \"commit\""},
    [I10] = {"I10", "a \"dump\" for \"scope\" or a \"canary\" after a membership ended"},
    [I11] = {"I11", "a \"rule\" and a \"change\" it concerns"},
    [I12] = {"I12", "\"mac\", or \"show\" or \"row\" with values"},
    [I13] = {"I13", "\"told\", \"take\" or \"forge\""},
    [I14] = {"I14", "two \"commit\", or a \"list\""},
    [I15] = {"I15", "an \"audit\""},
    [I16] = {"I16", "\"erase\" and a \"canary\" of the erased"},
    [I17] = {"I17", "a \"sanitizer\""},
    [I18] = {"I18", "two \"trace\" of one seed and build, in one file or two"},
    [L1] = {"L1", "a \"quiet\""},
    [L2] = {"L2", "two \"synced\" of a device"},
    [L3] = {"L3", "a \"sample\" that has a \"cap\""},
};

static const struct {
    const char *name;
    bool (*on)(judge *j, const event *ev);
} EVENTS[] = {
    {"entity", on_entity},     {"catalog", on_entity},    {"link", on_link},
    {"rule", on_rule},         {"user", on_user},         {"device", on_device},
    {"member", on_member},     {"revoke", on_access},     {"grant", on_access},
    {"save", on_save},         {"saved", on_saved},       {"failed", on_failed},
    {"unsure", on_unsure},     {"found", on_found},       {"withdraw", on_withdraw},
    {"show", on_show},         {"view", on_view},         {"list", on_list},
    {"send", on_send},         {"arrive", on_arrive},     {"reply", on_reply},
    {"row", on_row},           {"take", on_take},         {"told", on_told},
    {"promote", on_promote},   {"synced", on_synced},     {"epoch", on_epoch},
    {"have", on_have},         {"restored", on_restored}, {"commit", on_commit},
    {"change", on_change},     {"decide", on_decide},     {"settle", on_settle},
    {"alias", on_alias},       {"backup", on_backup},     {"audit", on_audit},
    {"witness", on_witness},   {"erase", on_erase},       {"open", on_open},
    {"rollback", on_rollback}, {"rebirth", on_rebirth},   {"clone", on_clone},
    {"quiet", on_quiet},       {"drained", on_drained},   {"mac", on_mac},
    {"canary", on_canary},     {"forge", on_forge},       {"sanitizer", on_sanitizer},
    {"sample", on_sample},     {"cap", on_cap},           {"trace", on_trace},
    {"dump", on_dump},         {"has", on_has},           {"holds", on_holds},
    {"dumped", on_dumped},
};

const char *check_words(check_name check)
{
    return CHECK_TABLE[check].words;
}

const char *check_id(check_name check)
{
    return CHECK_TABLE[check].id;
}

invariant check_invariant(check_name check)
{
    return CHECK_TABLE[check].of;
}

const char *invariant_id(invariant i)
{
    return INVARIANT_TABLE[i].id;
}

const char *invariant_needs(invariant i)
{
    return INVARIANT_TABLE[i].needs;
}

const char *say(judge *j, name_id name)
{
    return name_text(&j->names, name).p;
}

void broken(judge *j, check_name check, const char *format, ...)
{
    char detail[600];
    va_list args;
    if (j->without[check]) {
        return;
    }
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    j->violations++;
    j->by_invariant[CHECK_TABLE[check].of] = true;
    if (j->report != NULL) {
        j->report(j->report_ctx, j->line, check, detail);
    }
}

bool refuse(judge *j, const char *format, ...)
{
    va_list args;
    if (j->error[0] == '\0') {
        va_start(args, format);
        vsnprintf(j->error, sizeof j->error, format, args);
        va_end(args);
    }
    return false;
}

bool member_name(judge *j, const event *ev, const char *member, name_id *out)
{
    json v = event_get(ev, member);
    char number[24];
    str text = v.raw;
    if (v.kind == JSON_INT) {
        int n = snprintf(number, sizeof number, "%lld", (long long)v.number);
        text = (str){number, (size_t)n};
    } else if (v.kind != JSON_TEXT) {
        return refuse(j, "event \"%.*s\" needs the text \"%s\"", (int)ev->name.n, ev->name.p,
                      member);
    }
    *out = name_of(&j->names, text);
    return true;
}

bool member_int(judge *j, const event *ev, const char *member, int64_t *out)
{
    json v = event_get(ev, member);
    if (!json_int(&v, out)) {
        return refuse(j, "event \"%.*s\" needs the integer \"%s\"", (int)ev->name.n, ev->name.p,
                      member);
    }
    return true;
}

int64_t member_or(const event *ev, const char *member, int64_t otherwise)
{
    json v = event_get(ev, member);
    int64_t n = otherwise;
    json_int(&v, &n);
    return n;
}

void judge_begin(judge *j, const char *file, table *traces)
{
    *j = (judge){.file = file,
                 .traces = traces,
                 .time_ms = INT64_MIN,
                 .last_commit_at_ms = INT64_MIN,
                 .audit_time = INT64_MIN,
                 .quiet_ms = -1};
}

static bool head_read(judge *j, const event *ev)
{
    int64_t version = member_or(ev, "v", 0);
    if (!str_is(ev->name, "history")) {
        return refuse(j, "the first line must be the event \"history\" with \"v\":1");
    }
    return version == 1 ||
           refuse(j, "this history has version %lld and only 1 is known: use a newer fb-check",
                  (long long)version);
}

static bool time_read(judge *j, const event *ev)
{
    json v = event_get(ev, "t");
    int64_t t = 0;
    if (v.kind == JSON_NONE) {
        return true;
    }
    if (!json_int(&v, &t) || t < j->time_ms) {
        return refuse(j, "\"t\" must be an integer that never decreases: write events in their "
                         "order");
    }
    j->time_ms = t;
    return true;
}

static bool dispatch(judge *j, const event *ev)
{
    bool of_commit = str_is(ev->name, "change") || str_is(ev->name, "decide") ||
                     str_is(ev->name, "settle") || str_is(ev->name, "alias");
    if (j->tx.open && !of_commit) {
        commit_close(j, false);
    }
    for (size_t i = 0; i < sizeof EVENTS / sizeof *EVENTS; i++) {
        if (str_is(ev->name, EVENTS[i].name)) {
            return EVENTS[i].on(j, ev);
        }
    }
    return true; /* of a later version, or for people */
}

bool judge_line(judge *j, str line)
{
    event ev;
    const char *why = NULL;
    j->line++;
    if (!event_read(line, &ev, &why)) {
        return refuse(j, "%s", why);
    }
    ev.line = j->line;
    j->events++;
    return j->events == 1 ? head_read(j, &ev) : time_read(j, &ev) && dispatch(j, &ev);
}

bool judge_end(judge *j)
{
    if (j->events == 0) {
        return refuse(j, "the file is empty: its first line must be the event \"history\"");
    }
    if (j->dump.open) {
        return refuse(j, "the last dump has no \"dumped\": the history was cut off");
    }
    if (j->tx.open) {
        commit_close(j, false);
    }
    ends_judge(j);
    audit_end(j);
    proofs_end(j);
    return true;
}

static void company_free(judge *j)
{
    for (size_t i = 0; i < array_count(j->entities); i++) {
        array_free(j->entities[i].columns);
        array_free(j->entities[i].terms);
        array_free(j->entities[i].steps);
    }
    for (size_t i = 0; i < array_count(j->users); i++) {
        array_free(j->users[i].territories);
        array_free(j->users[i].ever);
    }
    for (size_t i = 0; i < array_count(j->devices); i++) {
        array_free(j->devices[i].top);
    }
    for (size_t i = 0; i < array_count(j->rows); i++) {
        values_free(j->rows[i].values, j->rows[i].count);
        free(j->rows[i].times);
        array_free(j->rows[i].links);
    }
    for (size_t i = 0; i < array_count(j->groups); i++) {
        free(j->groups[i].text);
    }
    for (size_t i = 0; i < array_count(j->tx.changes); i++) {
        values_free(j->tx.changes[i].values, j->tx.changes[i].count);
    }
}

void judge_free(judge *j)
{
    table *const tables[] = {&j->entity_at,  &j->user_at,         &j->device_at,   &j->row_at,
                             &j->version_at, &j->alias_at,        &j->birth_at,    &j->group_at,
                             &j->line_at,    &j->inc_at,          &j->call_at,     &j->unsure_at,
                             &j->request_at, &j->reply_at,        &j->seen_at,     &j->sum_at,
                             &j->cap_at,     &j->taken_delete_at, &j->promised_at, &j->left_out,
                             &j->verdict_at};
    company_free(j);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        table_clear(tables[i]);
    }
    void *const arrays[] = {j->entities, j->users,      j->devices,      j->rows,
                            j->groups,   j->tx.changes, j->rules,        j->audit_hashes,
                            j->audited,  j->epochs,     j->commit_at_ms, j->samplings,
                            j->decided,  j->touched,    j->epoch_cids};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        array_free(arrays[i]);
    }
    names_free(&j->names);
}
