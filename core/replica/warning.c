/* warning.c - what replay could not put on any more, told to the person; made anew by every
 * promotion.
 *
 * fb_warning.text: a word of the table below, then for a row " entity id". */
#include <stdio.h>
#include <string.h>

#include "replica/room.h"

static const struct {
    const char *word, *en, *zh;
} SAYINGS[] = {
    {"left",
     "the record has left your area: your change is kept, will be sent, and is judged by what was "
     "yours when you made it",
     "该记录已不在您的区域：您的修改已保留并将发送，按您修改时的权限裁定"},
    {"gone", "the record is gone: your change is kept and will be sent",
     "该记录已不存在：您的修改已保留并将发送"},
    {"sum", "the sum is too large to be shown: your change is kept and will be sent",
     "合计过大无法显示：您的修改已保留并将发送"},
    {"catalog",
     "the company's catalogue lacks what this was saved for: it is kept and will be sent",
     "公司目录中没有对应的项目：数据已保留并将发送"},
};

fb_code warning_add(replica *r, int64_t gseq, const char *word, const group_op *op)
{
    char text[160];
    char id[FB_ID_TEXT_BYTES] = "";
    sql_stmt *s = sql_prepare(r->db, "INSERT INTO fb_warning (gseq, text) VALUES (?1, ?2)");
    if (op != NULL) {
        id_put(&op->id, id);
        snprintf(text, sizeof text, "%s %.*s %s", word, (int)op->entity->name.size,
                 op->entity->name.data, id);
    } else {
        snprintf(text, sizeof text, "%s", word);
    }
    sql_bind_int(s, 1, gseq);
    sql_bind_text(s, 2, text_of(text));
    return sql_run(s);
}

static fb_text word_take(fb_text *rest)
{
    const char *blank = rest->size > 0 ? memchr(rest->data, ' ', rest->size) : NULL;
    size_t size = blank != NULL ? (size_t)(blank - rest->data) : rest->size;
    fb_text word = {rest->data, size};
    size_t step = blank != NULL ? size + 1 : size;
    *rest = (fb_text){rest->data + step, rest->size - step};
    return word;
}

static fb_code lend(fb_code (*fn)(void *ctx, const warning *w), void *ctx, int64_t gseq,
                    fb_text text)
{
    warning w = {.gseq = gseq};
    fb_text word = word_take(&text);
    w.entity = word_take(&text);
    if (!id_get(text, &w.id)) {
        w.id = (fb_id){{0}};
    }
    for (size_t i = 0; i < sizeof SAYINGS / sizeof *SAYINGS; i++) {
        if (text_is(word, SAYINGS[i].word)) {
            w.text_en = text_of(SAYINGS[i].en);
            w.text_zh = text_of(SAYINGS[i].zh);
        }
    }
    return w.text_en.data != NULL ? fn(ctx, &w) : FB_OK; /* of an earlier version: made anew soon */
}

fb_code warning_each(replica *r, fb_code (*fn)(void *ctx, const warning *w), void *ctx)
{
    bool row = false;
    FB_REQUIRE(r != NULL && fn != NULL && !r->capture.open);
    FB_TRY(replica_refresh(r));
    sql_stmt *s = sql_prepare(r->db, "SELECT gseq, text FROM fb_warning ORDER BY gseq, n");
    fb_code rc = sql_step(s, &row);
    while (rc == FB_OK && row) {
        rc = lend(fn, ctx, sql_int(s, 0), sql_text(s, 1));
        if (rc == FB_OK) {
            rc = sql_step(s, &row);
        }
    }
    sql_reset(s);
    return rc;
}
