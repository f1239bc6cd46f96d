/* target_group.c - groups of operations, block heads and rows, under the catalogue of the vectors.
 *
 * A line that is read is written, read again with equal values, and written again with equal
 * bytes. Every value also goes through cat_value_check, which may refuse and may not crash. */
#include "fuzz.h"

#include "base/id.h"
#include "rules/row_check.h"
#include "wire/group_msg.h"
#include "wire/row_msg.h"
#include "wire/sync_msg.h"

enum { SCRATCH_BYTES = 32 << 20 };
static arena *scratch;
static catalog *cat;

void fuzz_open(void)
{
    buf text = source_file("schema/vectors/catalog.json");
    scratch = arena_new(SCRATCH_BYTES);
    MUST(scratch != NULL);
    MUST_OK(catalog_load(buf_text(&text), &cat, NULL));
    buf_clear(&text);
}

void fuzz_finish(void)
{
    catalog_free(cat);
    arena_free(scratch);
}

static void check_values(const cat_entity *e, const int *columns, uint32_t count,
                         const fb_value *values)
{
    for (uint32_t i = 0; i < count; i++) {
        if (columns[i] < 0) {
            continue;
        }
        fb_error err = {.code = FB_OK};
        fb_code rc = cat_value_check(e, columns[i], &values[i], &err);
        MUST(rc != FB_E_BUG && rc != FB_E_MISUSE);
        MUST(rc == FB_OK || err.field[0] != '\0');
        for (int human = 0; human < 2 && rc == FB_OK; human++) {
            buf out;
            buf_init(&out, SCRATCH_BYTES);
            cat_value_print(e, columns[i], &values[i], human == 1, &out);
            MUST_OK(out.code);
            buf_clear(&out);
        }
    }
}

static void put_group(const group *g, buf *out)
{
    group_writer w;
    group_put_begin(&w, out, &g->head);
    for (uint32_t i = 0; i < g->ops_count; i++) {
        group_put_op(&w, &g->ops[i]);
    }
    group_put_end(&w);
    MUST_OK(out->code);
}

static void same_values(const fb_value *a, const fb_value *b, uint32_t count)
{
    MUST((a == NULL) == (b == NULL));
    for (uint32_t i = 0; a != NULL && i < count; i++) {
        MUST(fb_value_equal(&a[i], &b[i]));
    }
}

static void same_group(const group *a, const group *b)
{
    MUST(text_equal(a->head.kind, b->head.kind));
    MUST(a->head.captured_at_ms == b->head.captured_at_ms);
    MUST(a->head.offset_ms == b->head.offset_ms && a->head.replaces == b->head.replaces);
    MUST(a->ops_count == b->ops_count);
    for (uint32_t i = 0; i < a->ops_count; i++) {
        const group_op *p = &a->ops[i], *q = &b->ops[i];
        MUST(p->kind == q->kind && p->entity == q->entity && id_equal(&p->id, &q->id));
        MUST(p->base_ver == q->base_ver && p->columns_count == q->columns_count);
        MUST(p->columns_count == 0 ||
             memcmp(p->columns, q->columns, p->columns_count * sizeof p->columns[0]) == 0);
        same_values(p->base, q->base, p->columns_count);
        same_values(p->mine, q->mine, p->columns_count);
    }
}

static void group_line(fb_text line)
{
    group g, again;
    buf first, second;
    fb_error err = {.code = FB_OK};
    arena_reset(scratch);
    fb_code rc = group_get(line, cat, scratch, &g, &err);
    MUST(rc != FB_E_BUG && rc != FB_E_MISUSE);
    if (rc != FB_OK) {
        MUST(err.message[0] != '\0');
        return;
    }
    for (uint32_t i = 0; i < g.ops_count; i++) {
        if (g.ops[i].mine != NULL) {
            check_values(g.ops[i].entity, g.ops[i].columns, g.ops[i].columns_count, g.ops[i].mine);
        }
    }
    buf_init(&first, SCRATCH_BYTES);
    buf_init(&second, SCRATCH_BYTES);
    put_group(&g, &first);
    MUST_OK(group_get(buf_text(&first), cat, scratch, &again, &err));
    same_group(&g, &again);
    put_group(&again, &second);
    MUST(text_equal(buf_text(&first), buf_text(&second)));
    buf_clear(&first);
    buf_clear(&second);
}

static bool all_known(const block_head *head)
{
    for (uint32_t i = 0; i < head->columns_count; i++) {
        if (head->columns[i] < 0) {
            return false;
        }
    }
    return head->entity != NULL;
}

static void row_line(fb_text line, const block_head *head)
{
    fb_value values[CATALOG_COLUMNS_LIMIT], again[CATALOG_COLUMNS_LIMIT];
    buf out;
    if (row_get(line, head, scratch, values) != FB_OK || !all_known(head)) {
        return;
    }
    check_values(head->entity, head->columns, head->columns_count, values);
    buf_init(&out, SCRATCH_BYTES);
    row_put(&out, head->entity, head->columns, head->columns_count, values);
    MUST_OK(out.code);
    MUST_OK(row_get((fb_text){out.data, out.size - 1}, head, scratch, again));
    same_values(values, again, head->columns_count);
    buf_clear(&out);
}

static void block_lines(fb_text in)
{
    line_reader lines;
    fb_text line;
    block_head head;
    bool open = false;
    arena_reset(scratch);
    line_reader_init(&lines, in);
    while (line_next(&lines, &line)) {
        if (line.data[0] == '{') {
            open = block_head_get(line, cat, scratch, &head) == FB_OK;
            MUST(!open || head.entity_name.size > 0);
        } else if (open) {
            row_line(line, &head);
        }
    }
}

void fuzz_run(fb_text in)
{
    fb_text line = {in.data, in.size};
    if (line.size > 0 && line.data[line.size - 1] == '\n') {
        line.size--;
    }
    group_line(line);
    block_lines(in);
}

void fuzz_seeds(void)
{
    seed_lines("", "schema/vectors/group.jsonl");
    seed_whole("", "schema/vectors/block.jsonl");
}
