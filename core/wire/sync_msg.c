/* sync_msg.c - see sync_msg.h. The tables are the format (protocol.md sections 3, 5, 6); every put
 * writes one line with its "\n", every get takes a line without it. "m" is the first member.
 * Numbers of 64 bits are strings, smaller ones JSON numbers, flags 1; optional members are left
 * out at their default (0, none, ""); unknown members are skipped.
 *
 *   up    {"m":"sync","v":1,"dev":"<id>","inc":"<id>","cat":3,"ep":"<id>","tok":"...","set":"11",
 *          "ack":"12","first":"13","n":2,"chain":"<64 hex>","last":"14","wall":"<ms>",
 *          "wait":25000,"page":4194304,"dig":1,"bkt":"<4096 hex>","packs":1,"moves":1,"nopage":1,
 *          "nocat":1}
 *         required: v dev inc cat last wall; first and n come together; last >= first + n - 1
 *   down  {"m":"sync","v":1,"ep":"<id>","wall":"<ms>","ap":"14","bk":"9","head":"5120",
 *          "retry":60000,"next":900000,"audit":"<id>","cat":4}
 *         required: v ep wall head
 *   run   {"m":"ok","g":"13","to":"14","cid":"5119"}
 *         groups g..to applied as sent, in commits cid, cid+1, ...; "to" left out when it is g
 *   page  {"m":"page","tok":"...","done":1,"reset":1,"dig":"<rows>:<16 hex>","fix":"<64 hex>",
 *          "of":"<16 hex>"}
 *   pack  see pack_msg.h
 *   cat   {"m":"catalog","catalog":{...}}
 *   end   {"m":"end"}
 *   error {"m":"error","code":"E_AUTH","text":"...","retry":1000}
 * Verdicts are in verdict_msg.c. */
#include "wire/sync_msg.h"

#include <string.h>

#include "schema/limits.h"
#include "wire/fields.h"
#include "wire/verdict_msg.h"

/* ---- lines ---- */

#define CATALOG_START "{\"m\":\"catalog\",\"catalog\":"

void line_reader_init(line_reader *l, fb_text body)
{
    l->at = body.size > 0 ? body.data : "";
    l->end = l->at + body.size;
    l->code = FB_OK;
}

/* The catalogue is the one line that may be longer than LINE_BYTES_MAX. */
static bool line_is_long(const char *line, size_t size)
{
    const size_t n = sizeof CATALOG_START - 1;
    if (size <= LINE_BYTES_MAX) {
        return false;
    }
    return memcmp(line, CATALOG_START, n) != 0 || size > CATALOG_BYTES_MAX + n + 1;
}

bool line_next(line_reader *l, fb_text *line_out)
{
    *line_out = (fb_text){NULL, 0};
    if (l->code != FB_OK || l->at == l->end) {
        return false;
    }
    const char *newline = memchr(l->at, '\n', (size_t)(l->end - l->at));
    if (newline == NULL) {
        l->code = FB_E_TRUNCATED;
        return false;
    }
    size_t size = (size_t)(newline - l->at);
    if (size == 0) {
        l->code = FB_E_PROTOCOL;
        return false;
    }
    if (line_is_long(l->at, size)) {
        l->code = FB_E_LIMIT;
        return false;
    }
    *line_out = (fb_text){l->at, size};
    l->at = newline + 1;
    return true;
}

/* ---- up ---- */

#define AT(name) offsetof(sync_request, name)
static const field REQUEST_FIELDS[] = {
    {"v", FIELD_U32, FIELD_REQUIRED, AT(protocol)},
    {"dev", FIELD_ID, FIELD_REQUIRED, AT(device)},
    {"inc", FIELD_ID, FIELD_REQUIRED, AT(incarnation)},
    {"cat", FIELD_U32, FIELD_REQUIRED, AT(catalog_version)},
    {"ep", FIELD_ID, FIELD_OPTIONAL, AT(epoch)},
    {"tok", FIELD_TEXT, FIELD_OPTIONAL, AT(token)},
    {"set", FIELD_COUNT, FIELD_OPTIONAL, AT(settled)},
    {"ack", FIELD_COUNT, FIELD_OPTIONAL, AT(acked)},
    {"first", FIELD_COUNT, FIELD_OPTIONAL, AT(first)},
    {"n", FIELD_U32, FIELD_OPTIONAL, AT(groups_count)},
    {"chain", FIELD_DIGEST, FIELD_OPTIONAL, AT(chain_before)},
    {"last", FIELD_COUNT, FIELD_REQUIRED, AT(last)},
    {"old", FIELD_COUNT, FIELD_OPTIONAL, AT(old_base)},
    {"wall", FIELD_I64, FIELD_REQUIRED, AT(wall_ms)},
    {"wait", FIELD_U32, FIELD_OPTIONAL, AT(wait_ms)},
    {"page", FIELD_U32, FIELD_OPTIONAL, AT(page_bytes)},
    {"dig", FIELD_FLAG, FIELD_OPTIONAL, AT(check)},
    {"bkt", FIELD_TEXT, FIELD_OPTIONAL, AT(buckets)},
    {"packs", FIELD_FLAG, FIELD_OPTIONAL, AT(takes_packs)},
    {"moves", FIELD_FLAG, FIELD_OPTIONAL, AT(takes_moves)},
    {"nopage", FIELD_FLAG, FIELD_OPTIONAL, AT(no_page)},
    {"nocat", FIELD_FLAG, FIELD_OPTIONAL, AT(no_catalog)},
};
#undef AT

static const message REQUEST = MESSAGE("sync", REQUEST_FIELDS);

void sync_request_put(buf *out, const sync_request *m)
{
    message_line_put(out, &REQUEST, m);
}

void sync_group_put(buf *out, fb_text group_line)
{
    buf_put_text(out, group_line);
    buf_put_char(out, '\n');
}

void sync_end_put(buf *out)
{
    buf_put_str(out, "{\"m\":\"end\"}\n");
}

/* The numbers of a request agree with each other. */
static fb_code request_check(const sync_request *m)
{
    if (m->groups_count > PUSH_GROUPS_MAX) {
        return FB_E_LIMIT;
    }
    if ((m->groups_count > 0) != (m->first > 0) || m->settled > m->last || m->acked > m->last ||
        m->old_base > m->last) {
        return FB_E_PROTOCOL;
    }
    if (m->groups_count > 0 && m->last - m->first < (int64_t)m->groups_count - 1) {
        return FB_E_PROTOCOL;
    }
    row_sums sums;
    return m->buckets.size == 0 || row_buckets_get(m->buckets, &sums) ? FB_OK : FB_E_PROTOCOL;
}

fb_code sync_request_get(fb_text line, arena *scratch, sync_request *out)
{
    sync_request m = {0};
    FB_TRY(message_get(line, scratch, &REQUEST, &m));
    FB_TRY(request_check(&m));
    *out = m;
    return FB_OK;
}

/* ---- down ---- */

#define AT(name) offsetof(sync_reply, name)
static const field REPLY_FIELDS[] = {
    {"v", FIELD_U32, FIELD_REQUIRED, AT(protocol)},
    {"ep", FIELD_ID, FIELD_OPTIONAL, AT(epoch)},
    {"wall", FIELD_I64, FIELD_REQUIRED, AT(server_wall_ms)},
    {"ap", FIELD_COUNT, FIELD_OPTIONAL, AT(applied)},
    {"bk", FIELD_COUNT, FIELD_OPTIONAL, AT(backed_up)},
    {"head", FIELD_COUNT, FIELD_REQUIRED, AT(head)},
    {"retry", FIELD_U32, FIELD_OPTIONAL, AT(retry_ms)},
    {"next", FIELD_U32, FIELD_OPTIONAL, AT(next_ms)},
    {"audit", FIELD_ID, FIELD_OPTIONAL, AT(audit_head)},
    {"cat", FIELD_U32, FIELD_OPTIONAL, AT(catalog_waits)},
};
#undef AT

static const message REPLY = MESSAGE("sync", REPLY_FIELDS);

void sync_reply_put(buf *out, const sync_reply *m)
{
    message_line_put(out, &REPLY, m);
}

fb_code sync_reply_get(fb_text line, arena *scratch, sync_reply *out)
{
    sync_reply m = {0};
    FB_TRY(message_get(line, scratch, &REPLY, &m));
    *out = m;
    return FB_OK;
}

#define AT(name) offsetof(reply_item, name)
static const field RUN_FIELDS[] = {
    {"g", FIELD_COUNT, FIELD_REQUIRED, AT(run_from)},
    {"to", FIELD_COUNT, FIELD_OPTIONAL, AT(run_to)},
    {"cid", FIELD_COUNT, FIELD_REQUIRED, AT(run_cid)},
};
static const field CATALOG_FIELDS[] = {
    {"catalog", FIELD_RAW, FIELD_REQUIRED, AT(catalog_json)},
};
#undef AT

#define AT(name) offsetof(page_head, name)
static const field PAGE_FIELDS[] = {
    {"tok", FIELD_TEXT, FIELD_REQUIRED, AT(token)},
    {"done", FIELD_FLAG, FIELD_OPTIONAL, AT(complete)},
    {"reset", FIELD_FLAG, FIELD_OPTIONAL, AT(reset)},
    {"dig", FIELD_TEXT, FIELD_OPTIONAL, AT(totals)},
    {"fix", FIELD_DIGEST, FIELD_OPTIONAL, AT(fix)},
    {"of", FIELD_TEXT, FIELD_OPTIONAL, AT(of)},
};
_Static_assert(sizeof(bucket_set) == sizeof(digest), "a set of buckets is written like a digest");
#undef AT

static const message RUN = MESSAGE("ok", RUN_FIELDS);
static const message CATALOG = MESSAGE("catalog", CATALOG_FIELDS);
static const message PAGE = MESSAGE("page", PAGE_FIELDS);
static const message END = {"end", NULL, 0, NULL, 0};

void verdict_run_put(buf *out, int64_t from, int64_t to, int64_t cid_of_from)
{
    FB_ASSERT(from > 0 && to >= from);
    const reply_item item = {
        .run_from = from, .run_to = to > from ? to : 0, .run_cid = cid_of_from};
    message_line_put(out, &RUN, &item);
}

void token_mark(fb_text token, char out[TOKEN_MARK_TEXT_BYTES])
{
    static const char DIGITS[] = "0123456789abcdef";
    digest d;
    int at = 0;
    digest_of(token.data, token.size, &d);
    for (int i = 0; token.size > 0 && i < (TOKEN_MARK_TEXT_BYTES - 1) / 2; i++) {
        out[at++] = DIGITS[d.b[i] >> 4];
        out[at++] = DIGITS[d.b[i] & 15];
    }
    out[at] = '\0';
}

void page_head_put(buf *out, const page_head *m)
{
    message_line_put(out, &PAGE, m);
}

/* A catalogue may have been written on many lines: newlines between its values become blanks. */
void catalog_line_put(buf *out, fb_text catalog_json)
{
    buf_put_str(out, CATALOG_START);
    char *to = buf_reserve(out, catalog_json.size);
    for (size_t i = 0; to != NULL && i < catalog_json.size; i++) {
        char c = catalog_json.data[i];
        to[i] = c == '\n' || c == '\r' ? ' ' : c;
    }
    out->size += to != NULL ? catalog_json.size : 0;
    buf_put_str(out, "}\n");
}

static void page_get(json_reader *r, page_head *page)
{
    row_totals totals;
    fields_get(r, &PAGE, page, NULL);
    if (page->totals.size > 0 && !row_totals_get(page->totals, &totals)) {
        json_fail(r, FB_E_PROTOCOL, "\"dig\" is rows:sum");
    }
}

/* Groups g..to and their commits stay within 64 bits. */
static void run_get(json_reader *r, reply_item *item)
{
    fields_get(r, &RUN, item, NULL);
    if (item->run_to == 0) {
        item->run_to = item->run_from;
    }
    if (item->run_from < 1 || item->run_to < item->run_from ||
        item->run_to - item->run_from > INT64_MAX - item->run_cid) {
        json_fail(r, FB_E_PROTOCOL, "a run of groups goes from g >= 1 up to \"to\"");
    }
}

fb_code reply_item_get(fb_text line, arena *scratch, reply_item *out)
{
    json_reader r;
    reply_item item = {.line = LINE_END};
    json_reader_init(&r, line, scratch);
    fb_text name = message_begin(&r);
    if (r.code != FB_OK) {
        return r.code;
    }
    if (text_is(name, RUN.name)) {
        item.line = LINE_RUN;
        run_get(&r, &item);
    } else if (text_is(name, "verdict")) {
        item.line = LINE_VERDICT;
        verdict_members_get(&r, &item.verdict);
    } else if (text_is(name, CATALOG.name)) {
        item.line = LINE_CATALOG;
        fields_get(&r, &CATALOG, &item, NULL);
    } else if (text_is(name, "pack")) {
        item.line = LINE_PACK;
        pack_offer_members_get(&r, &item.pack);
    } else if (text_is(name, PAGE.name)) {
        item.line = LINE_PAGE;
        page_get(&r, &item.page);
    } else if (text_is(name, END.name)) {
        fields_get(&r, &END, &item, NULL);
    } else {
        json_fail(&r, FB_E_PROTOCOL,
                  "a line of a reply is ok, verdict, catalog, pack, page or end");
    }
    FB_TRY(json_finish(&r));
    *out = item;
    return FB_OK;
}

/* ---- errors ---- */

#define AT(name) offsetof(error_msg, name)
static const field ERROR_FIELDS[] = {
    {"code", FIELD_ERROR, FIELD_REQUIRED, AT(code)},
    {"text", FIELD_TEXT, FIELD_OPTIONAL, AT(text)},
    {"retry", FIELD_U32, FIELD_OPTIONAL, AT(retry_ms)},
};
#undef AT

static const message ERROR = MESSAGE("error", ERROR_FIELDS);

void error_msg_put(buf *out, const error_msg *m)
{
    message_line_put(out, &ERROR, m);
}

fb_code error_msg_get(fb_text body, arena *scratch, error_msg *out)
{
    error_msg m = {.code = FB_OK};
    FB_TRY(message_get(body, scratch, &ERROR, &m));
    *out = m;
    return FB_OK;
}
