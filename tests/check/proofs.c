/* proofs.c - measured evidence (I8, I10, I12, I13, I16, I17, I18) and progress (L1, L2, L3). See
 * check.h. */
#include "check.h"

#include <string.h>

enum { HOUR_MS = 3600000, SLOPE_SAMPLES_MIN = 3 };

bool on_mac(judge *j, const event *ev)
{
    uint32_t at;
    if (!member_device(j, ev, "d", &at)) {
        return false;
    }
    j->evidence[I12] = true;
    if (member_or(ev, "bad", 0) > 0 && member_or(ev, "shown", 0) > 0) {
        broken(j, CHECK_bad_page_shown, "device %s: %lld pages, %lld values",
               say(j, j->devices[at].name), (long long)member_or(ev, "bad", 0),
               (long long)member_or(ev, "shown", 0));
    }
    return true;
}

static bool holds(const name_id *set, name_id what)
{
    for (size_t i = 0; i < array_count(set); i++) {
        if (set[i] == what) {
            return true;
        }
    }
    return false;
}

/* A territory's marked text on a device of somebody who is not, or not any more, its member. */
static void territory_judge(judge *j, uint32_t at, name_id territory, int64_t hits)
{
    const person *u = &j->users[j->devices[at].user];
    bool now = u->all || holds(u->territories, territory), ever = holds(u->ever, territory);
    j->evidence[!now && ever ? I10 : I8] = true;
    if (hits > 0 && !now) {
        broken(j, ever ? CHECK_scope_bytes_left : CHECK_canary_leaked,
               "%s on device %s, %lld times", say(j, territory), say(j, j->devices[at].name),
               (long long)hits);
    }
}

bool on_canary(judge *j, const event *ev)
{
    name_id of;
    uint32_t at;
    int64_t hits;
    if (!member_name(j, ev, "of", &of) || !member_int(j, ev, "hits", &hits)) {
        return false;
    }
    if (strncmp(say(j, of), "erased:", 7) == 0) {
        j->evidence[I16] = true;
        if (hits > 0) {
            broken(j, CHECK_erased_found, "%s, %lld times", say(j, of), (long long)hits);
        }
        return true;
    }
    if (event_get(ev, "d").kind == JSON_NONE) {
        j->evidence[I8] = true; /* logs and captures are nobody's */
        if (hits > 0) {
            broken(j, CHECK_canary_leaked, "%s, %lld times", say(j, of), (long long)hits);
        }
        return true;
    }
    if (!member_device(j, ev, "d", &at)) {
        return false;
    }
    territory_judge(j, at, of, hits);
    return true;
}

bool on_erase(judge *j, const event *ev)
{
    uint32_t entity;
    name_id id;
    if (!member_entity(j, ev, &entity) || !member_name(j, ev, "id", &id)) {
        return false;
    }
    row_make(j, entity, id)->erased = true;
    return true;
}

bool on_forge(judge *j, const event *ev)
{
    j->evidence[I13] = true;
    if (member_or(ev, "effects", 0) > 0) {
        json what = event_get(ev, "what");
        broken(j, CHECK_forgery_acts, "%.*s", (int)what.raw.n,
               what.raw.p != NULL ? what.raw.p : "");
    }
    return true;
}

bool on_sanitizer(judge *j, const event *ev)
{
    j->evidence[I17] = true;
    if (member_or(ev, "reports", 0) > 0) {
        broken(j, CHECK_memory_reports, "%lld", (long long)member_or(ev, "reports", 0));
    }
    if (member_or(ev, "leaks", 0) > 0 || member_or(ev, "fds", 0) > 0) {
        broken(j, CHECK_memory_leaks, "%lld allocations, %lld files",
               (long long)member_or(ev, "leaks", 0), (long long)member_or(ev, "fds", 0));
    }
    return true;
}

/* --- resources ----------------------------------------------------------------------------------
 */

bool on_cap(judge *j, const event *ev)
{
    name_id who, what;
    int64_t max;
    if (!member_name(j, ev, "who", &who) || !member_name(j, ev, "what", &what) ||
        !member_int(j, ev, "max", &max)) {
        return false;
    }
    table_put(&j->cap_at, key_of(who, what), max);
    return true;
}

/* Least squares, in hours and KiB since the first sample. */
static void slope_add(judge *j, name_id who, int64_t bytes)
{
    size_t i = 0;
    while (i < array_count(j->samplings) && j->samplings[i].who != who) {
        i++;
    }
    if (i == array_count(j->samplings)) {
        const sampling made = {.who = who, .first_ms = j->time_ms, .first_bytes = bytes};
        array_add(j->samplings, made);
    }
    sampling *s = &j->samplings[i];
    double x = (double)(j->time_ms - s->first_ms) / HOUR_MS;
    double y = (double)(bytes - s->first_bytes) / 1024.0;
    s->n++;
    s->last_ms = j->time_ms;
    s->x += x;
    s->y += y;
    s->xx += x * x;
    s->xy += x * y;
}

static void slope_judge(judge *j, const sampling *s)
{
    double below = (double)s->n * s->xx - s->x * s->x;
    if (s->n < SLOPE_SAMPLES_MIN || s->last_ms - s->first_ms < HOUR_MS || below <= 0) {
        return;
    }
    double slope = ((double)s->n * s->xy - s->x * s->y) / below;
    if (slope > 1.0) {
        broken(j, CHECK_memory_grows, "%s by %.1f KiB an hour", say(j, s->who), slope);
    }
}

bool on_sample(judge *j, const event *ev)
{
    name_id who, what;
    int64_t v, max;
    if (!member_name(j, ev, "who", &who) || !member_name(j, ev, "what", &what) ||
        !member_int(j, ev, "value", &v)) {
        return false;
    }
    if (strcmp(say(j, what), "rss") == 0) {
        slope_add(j, who, v);
    }
    if (table_get(&j->cap_at, key_of(who, what), &max) ||
        table_get(&j->cap_at, key_of(name_of(&j->names, (str){"*", 1}), what), &max)) {
        j->evidence[L3] = true;
        if (v > max) {
            broken(j, CHECK_bound_passed, "%s of %s: %lld of %lld", say(j, what), say(j, who),
                   (long long)v, (long long)max);
        }
    }
    return true;
}

/* --- determinism and progress -------------------------------------------------------------------
 */

static uint64_t text_hash(judge *j, name_id name)
{
    str text = name_text(&j->names, name);
    return hash_of(text.p, text.n);
}

bool on_trace(judge *j, const event *ev)
{
    name_id seed, build, sha;
    int64_t known = 0;
    if (!member_name(j, ev, "seed", &seed) || !member_name(j, ev, "build", &build) ||
        !member_name(j, ev, "sha", &sha)) {
        return false;
    }
    uint64_t key = key_of(text_hash(j, seed), text_hash(j, build));
    int64_t trace = (int64_t)text_hash(j, sha);
    if (table_get(j->traces, key, &known)) {
        j->evidence[I18] = true;
        if (known != trace) {
            broken(j, CHECK_trace_differs, "seed %s, build %s", say(j, seed), say(j, build));
        }
    }
    table_put(j->traces, key, trace);
    return true;
}

bool on_quiet(judge *j, const event *ev)
{
    if (event_get(ev, "t").kind == JSON_NONE) {
        return refuse(j, "\"quiet\" and \"drained\" need the time \"t\"");
    }
    j->evidence[L1] = true;
    j->quiet_ms = j->time_ms;
    j->quiet_limit_ms = 60000 + 3 * member_or(ev, "rtt", 0) * member_or(ev, "chunks", 1);
    return true;
}

bool on_drained(judge *j, const event *ev)
{
    uint32_t at;
    if (!member_device(j, ev, "d", &at)) {
        return false;
    }
    if (event_get(ev, "t").kind == JSON_NONE || j->quiet_ms < 0) {
        return refuse(j, "\"drained\" needs the time \"t\" and a \"quiet\" before it");
    }
    int64_t began = member_or(ev, "began", j->quiet_ms);
    int64_t took = j->time_ms - (began > j->quiet_ms ? began : j->quiet_ms);
    j->devices[at].drained = true;
    if (took > j->quiet_limit_ms) {
        broken(j, CHECK_drained_late, "device %s after %lld ms of %lld",
               say(j, j->devices[at].name), (long long)took, (long long)j->quiet_limit_ms);
    }
    return true;
}

void proofs_end(judge *j)
{
    for (size_t i = 0; i < array_count(j->samplings); i++) {
        slope_judge(j, &j->samplings[i]);
    }
    for (size_t i = 0; j->quiet_ms >= 0 && i < array_count(j->devices); i++) {
        if (!j->devices[i].drained && device_has_access(j, (uint32_t)i)) {
            broken(j, CHECK_not_drained, "device %s", say(j, j->devices[i].name));
        }
    }
}
