/* audit.c - the audit log: its chain, its completeness, its witnesses. See check.h and README.md.
 */
#include "check.h"
#include "sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_BYTES = 32 };

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t hex_read(const json *v, unsigned char *out, size_t room)
{
    size_t n = 0;
    for (; v->kind == JSON_TEXT && n < room && 2 * n + 1 < v->raw.n; n++) {
        int high = digit_of(v->raw.p[2 * n]), low = digit_of(v->raw.p[2 * n + 1]);
        if (high < 0 || low < 0) {
            return 0;
        }
        out[n] = (unsigned char)(high << 4 | low);
    }
    return n;
}

static void add_number(sha256 *s, int64_t n, char mark)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%lld%c", (long long)n, mark);
    sha256_add(s, text, (size_t)size);
}

static void add_text(sha256 *s, const event *ev, const char *member)
{
    json v = event_get(ev, member);
    char *bytes = must_take(NULL, v.raw.n + 1);
    size_t n = v.kind == JSON_TEXT ? json_text(v.raw, bytes) : 0;
    add_number(s, (int64_t)n, ':');
    sha256_add(s, bytes, n);
    free(bytes);
}

static void add_hex(sha256 *s, const event *ev, const char *member)
{
    unsigned char bytes[HASH_BYTES];
    json v = event_get(ev, member);
    size_t n = hex_read(&v, bytes, sizeof bytes);
    add_number(s, (int64_t)n, ':');
    sha256_add(s, bytes, n);
}

static void entry_hash(const event *ev, const unsigned char *before, unsigned char *out)
{
    sha256 s;
    sha256_begin(&s);
    sha256_add(&s, before, HASH_BYTES);
    add_number(&s, member_or(ev, "seq", 0), '|');
    add_number(&s, member_or(ev, "at", 0), '|');
    add_number(&s, member_or(ev, "cid", 0), '|');
    add_number(&s, member_or(ev, "rows", 0), '|');
    add_text(&s, ev, "actor");
    add_text(&s, ev, "action");
    add_text(&s, ev, "entity");
    add_hex(&s, ev, "row");
    add_hex(&s, ev, "digest");
    add_text(&s, ev, "detail");
    sha256_end(&s, out);
}

static void chain_judge(judge *j, const event *ev, int64_t seq)
{
    static const unsigned char ZERO[HASH_BYTES];
    size_t known = array_count(j->audit_hashes);
    unsigned char computed[HASH_BYTES], stored[HASH_BYTES] = {0};
    json hash = event_get(ev, "hash");
    if (seq < 1 || (size_t)(seq - 1) > known || (j->audit_last >= 0 && seq != j->audit_last + 1)) {
        broken(j, CHECK_audit_gap, "entry %lld after %lld", (long long)seq,
               (long long)j->audit_last);
        return;
    }
    entry_hash(ev, seq > 1 ? j->audit_hashes[seq - 2].bytes : ZERO, computed);
    if (hex_read(&hash, stored, sizeof stored) != HASH_BYTES ||
        memcmp(stored, computed, HASH_BYTES) != 0) {
        broken(j, CHECK_audit_chain, "entry %lld", (long long)seq);
    }
    audit_hash kept;
    memcpy(kept.bytes, stored, HASH_BYTES); /* one bad entry is one violation */
    array_trim(j->audit_hashes, (size_t)(seq - 1));
    array_add(j->audit_hashes, kept);
    j->audit_last = seq;
}

static void commit_named(judge *j, int64_t cid, int64_t seq)
{
    if (cid > j->cid || cid < 0 ||
        ((size_t)cid < array_count(j->audited) && j->audited[cid] != 0)) {
        broken(j, CHECK_audit_of_nothing, "entry %lld, commit %lld", (long long)seq,
               (long long)cid);
        return;
    }
    while (array_count(j->audited) <= (size_t)cid) {
        array_add(j->audited, 0);
    }
    j->audited[cid] = cid > 0;
}

bool on_audit(judge *j, const event *ev)
{
    int64_t seq, at_ms, due = 0;
    json action = event_get(ev, "action");
    if (!member_int(j, ev, "seq", &seq) || !member_int(j, ev, "at", &at_ms)) {
        return false;
    }
    j->evidence[I15] = true;
    if (at_ms < j->audit_time) {
        broken(j, CHECK_audit_time_back, "entry %lld at %lld ms after %lld ms", (long long)seq,
               (long long)at_ms, (long long)j->audit_time);
    }
    j->audit_time = at_ms;
    chain_judge(j, ev, seq);
    commit_named(j, member_or(ev, "cid", 0), seq);
    if (action.kind == JSON_TEXT) {
        uint64_t key = key_of(name_of(&j->names, action.raw), 0);
        if (table_get(&j->promised_at, key, &due) && due > 0) {
            table_put(&j->promised_at, key, due - 1);
        }
    }
    return true;
}

bool on_witness(judge *j, const event *ev)
{
    int64_t seq;
    unsigned char seen[HASH_BYTES] = {0};
    json hash = event_get(ev, "hash");
    if (!member_int(j, ev, "seq", &seq)) {
        return false;
    }
    size_t bytes = hex_read(&hash, seen, sizeof seen); /* a device keeps a shorter one */
    if (seq < 1 || (size_t)seq > array_count(j->audit_hashes) || bytes == 0 ||
        memcmp(j->audit_hashes[seq - 1].bytes, seen, bytes) != 0) {
        broken(j, CHECK_witness_differs, "entry %lld", (long long)seq);
    }
    return true;
}

void audit_end(judge *j)
{
    if (!j->evidence[I15]) {
        return;
    }
    for (size_t cid = 1; cid < array_count(j->commit_at_ms); cid++) {
        bool entry = cid < array_count(j->audited) && j->audited[cid] != 0;
        if (j->commit_at_ms[cid] != 0 && !entry) {
            broken(j, CHECK_commit_unaudited, "commit %zu", cid);
        }
    }
    for (size_t i = 0; i < j->promised_at.slots; i++) {
        if (j->promised_at.keys[i] != 0 && j->promised_at.values[i] > 0) {
            broken(j, CHECK_decision_unaudited, "%lld of them",
                   (long long)j->promised_at.values[i]);
        }
    }
}
