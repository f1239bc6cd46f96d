/* target_message.c - every message: the first byte says which.
 *
 * What is read can be written; the written line is read as the same message, and written again has
 * the same bytes. */
#include "fuzz.h"

#include "wire/blob_msg.h"
#include "wire/enrol_msg.h"
#include "wire/sync_msg.h"

enum { SCRATCH_BYTES = 16 << 20 };
static arena *scratch;

void fuzz_open(void)
{
    scratch = arena_new(SCRATCH_BYTES);
    MUST(scratch != NULL);
}

void fuzz_finish(void)
{
    arena_free(scratch);
}

/* Reads a line and writes it. */
typedef fb_code (*turn)(fb_text line, buf *out);

static fb_code request_turn(fb_text line, buf *out)
{
    sync_request m;
    FB_TRY(sync_request_get(line, scratch, &m));
    sync_request_put(out, &m);
    return FB_OK;
}

static fb_code reply_turn(fb_text line, buf *out)
{
    sync_reply m;
    FB_TRY(sync_reply_get(line, scratch, &m));
    sync_reply_put(out, &m);
    return FB_OK;
}

/* Whatever was read is hexadecimal; whether it is a signature is not asked here. */
static fb_code offer_turn(const pack_offer *o, buf *out)
{
    sign_public key;
    signature sig;
    FB_TRY(hex_get(o->key, key.b, sizeof key.b) ? FB_OK : FB_E_PROTOCOL);
    FB_TRY(hex_get(o->signature, sig.b, sizeof sig.b) ? FB_OK : FB_E_PROTOCOL);
    pack_offer_put(out, &key, &sig, o->manifest);
    return FB_OK;
}

static fb_code item_turn(fb_text line, buf *out)
{
    reply_item m;
    FB_TRY(reply_item_get(line, scratch, &m));
    switch (m.line) {
    case LINE_RUN:
        verdict_run_put(out, m.run_from, m.run_to, m.run_cid);
        break;
    case LINE_VERDICT:
        MUST(verdict_name(m.verdict.code) != NULL);
        verdict_put(out, &m.verdict);
        break;
    case LINE_CATALOG:
        catalog_line_put(out, m.catalog_json);
        break;
    case LINE_PACK:
        return offer_turn(&m.pack, out);
    case LINE_PAGE:
        page_head_put(out, &m.page);
        break;
    case LINE_END:
        sync_end_put(out);
        break;
    }
    return FB_OK;
}

static fb_code enrol_turn(fb_text line, buf *out)
{
    enrol_request m;
    FB_TRY(enrol_request_get(line, scratch, &m));
    enrol_request_put(out, &m);
    return FB_OK;
}

static fb_code enrolled_turn(fb_text line, buf *out)
{
    enrol_reply m;
    FB_TRY(enrol_reply_get(line, scratch, &m));
    enrol_reply_put(out, &m);
    return FB_OK;
}

static fb_code error_turn(fb_text line, buf *out)
{
    error_msg m;
    FB_TRY(error_msg_get(line, scratch, &m));
    error_msg_put(out, &m);
    return FB_OK;
}

static fb_code blob_ask_turn(fb_text line, buf *out)
{
    static blob_ask m;
    FB_TRY(blob_ask_get(line, scratch, &m));
    blob_ask_put(out, &m);
    return FB_OK;
}

static fb_code blob_had_turn(fb_text line, buf *out)
{
    static blob_had m;
    FB_TRY(blob_had_get(line, scratch, &m));
    blob_had_put(out, &m);
    return FB_OK;
}

static fb_code blob_stored_turn(fb_text line, buf *out)
{
    blob_stored m;
    FB_TRY(blob_stored_get(line, scratch, &m));
    blob_stored_put(out, &m);
    return FB_OK;
}

static fb_code blob_get_turn(fb_text line, buf *out)
{
    blob_get m;
    FB_TRY(blob_get_get(line, scratch, &m));
    blob_get_put(out, &m);
    return FB_OK;
}

static const turn TURNS[] = {request_turn,     reply_turn,   item_turn,     enrol_turn,
                             enrolled_turn,    error_turn,   blob_ask_turn, blob_had_turn,
                             blob_stored_turn, blob_get_turn};
enum { TURNS_COUNT = sizeof TURNS / sizeof TURNS[0] };

/* --- what is not one line: a manifest inside an offer, a piece of a file behind its line -------
 */

enum { WHOLES_FIRST = 0x80 };

static fb_code manifest_turn(fb_text text, buf *out)
{
    pack_manifest m;
    int64_t rows = 0;
    FB_TRY(pack_manifest_get(text, scratch, &m));
    for (uint32_t i = 0; i < m.counts_count; i++) {
        rows += m.counts[i].rows;
    }
    MUST(rows == m.rows);
    pack_manifest_put(out, &m);
    return FB_OK;
}

static fb_code piece_up_turn(fb_text body, buf *out)
{
    blob_put m;
    FB_TRY(blob_put_get(body, scratch, &m));
    MUST(m.bytes.size == m.count && m.offset + m.count <= m.size);
    blob_put_put(out, &m);
    return FB_OK;
}

static fb_code piece_down_turn(fb_text body, buf *out)
{
    blob_got m;
    FB_TRY(blob_got_get(body, scratch, &m));
    MUST(m.absent || (m.bytes.size == m.count && m.offset + m.count <= m.size));
    blob_got_put(out, &m);
    return FB_OK;
}

static fb_code path_turn(fb_text path, buf *out)
{
    pack_piece p;
    FB_TRY(pack_path_get(path, &p) ? FB_OK : FB_E_INVALID);
    pack_path_put(out, &p);
    return FB_OK;
}

static const turn WHOLES[] = {manifest_turn, piece_up_turn, piece_down_turn, path_turn};
enum { WHOLES_COUNT = sizeof WHOLES / sizeof WHOLES[0] };

/* What is read can be written, and what was written is read as the same. `line`: ends as one. */
static void turn_twice(turn turn_it, fb_text in, bool line)
{
    buf first, second;
    buf_init(&first, SCRATCH_BYTES);
    buf_init(&second, SCRATCH_BYTES);
    arena_reset(scratch);
    fb_code rc = turn_it(in, &first);
    MUST(rc != FB_E_BUG && rc != FB_E_MISUSE);
    if (rc == FB_OK) {
        MUST_OK(first.code);
        fb_text written = buf_text(&first);
        if (line) {
            MUST(first.size > 0 && first.data[first.size - 1] == '\n');
            written.size--;
            MUST(memchr(written.data, '\n', written.size) == NULL);
        }
        arena_reset(scratch);
        MUST_OK(turn_it(written, &second));
        MUST(text_equal(buf_text(&first), buf_text(&second)));
    }
    buf_clear(&first);
    buf_clear(&second);
}

void fuzz_run(fb_text in)
{
    line_reader lines;
    fb_text line;
    uint8_t which = take_byte(&in);
    if (which >= WHOLES_FIRST) {
        turn_twice(WHOLES[which % WHOLES_COUNT], in, false);
        return;
    }
    turn turn_it = TURNS[which % TURNS_COUNT];
    turn_twice(turn_it, in, true);
    line_reader_init(&lines, in);
    while (line_next(&lines, &line)) {
        MUST(line.size > 0 && memchr(line.data, '\n', line.size) == NULL);
        turn_twice(turn_it, line, true);
    }
}

static void seed_whole_of(uint8_t which, const buf *body)
{
    buf seed;
    buf_init(&seed, SCRATCH_BYTES);
    char first = (char)(WHOLES_FIRST + which);
    buf_put(&seed, &first, 1);
    buf_put_text(&seed, buf_text(body));
    seed_put(buf_text(&seed));
    buf_clear(&seed);
}

static void seeds_whole(void)
{
    buf body;
    pack_chunk chunks[2] = {{.size_bytes = 900, .raw_bytes = 4000},
                            {.size_bytes = 5, .raw_bytes = 9}};
    pack_count counts[2] = {{text_of("customer"), 3}, {text_of("visit"), 4}};
    const pack_manifest m = {.version = PACK_VERSION,
                             .scope = 7,
                             .position = 3 << 20,
                             .catalog_version = 2,
                             .rows = 7,
                             .counts = counts,
                             .counts_count = 2,
                             .chunks = chunks,
                             .chunks_count = 2};
    const blob_put up = {
        .protocol = 1, .size = 9, .offset = 2, .count = 4, .bytes = text_of("four")};
    const blob_got down = {.size = 9, .offset = 5, .count = 4, .bytes = text_of("last")};
    buf_init(&body, SCRATCH_BYTES);
    pack_manifest_put(&body, &m);
    seed_whole_of(0, &body);
    buf_reset(&body);
    blob_put_put(&body, &up);
    seed_whole_of(1, &body);
    buf_reset(&body);
    blob_got_put(&body, &down);
    seed_whole_of(2, &body);
    buf_reset(&body);
    pack_path_put(&body, &(pack_piece){.name = chunks[0].hash, .chunk = 12});
    seed_whole_of(3, &body);
    buf_reset(&body);
    pack_path_put(&body, &(pack_piece){chunks[0].hash, 12, 4096, 1024});
    seed_whole_of(3, &body);
    buf_clear(&body);
}

void fuzz_seeds(void)
{
    seeds_whole();
    seed_lines("\012",
               "schema/vectors/sync_request.jsonl"); /* 10 % TURNS_COUNT: no NUL in a text */
    seed_lines("\001", "schema/vectors/sync_reply.jsonl");
    seed_lines("\002", "schema/vectors/reply_item.jsonl");
    seed_lines("\003", "schema/vectors/enrol_request.jsonl");
    seed_lines("\004", "schema/vectors/enrol_reply.jsonl");
    seed_lines("\005", "schema/vectors/error.jsonl");
    seed_lines("\006", "schema/vectors/blob_ask.jsonl");
    seed_lines("\007", "schema/vectors/blob_had.jsonl");
    seed_lines("\010", "schema/vectors/blob_stored.jsonl");
    seed_lines("\011", "schema/vectors/blob_get.jsonl");
    seed_whole("\002", "schema/vectors/reply_item.jsonl");
}
