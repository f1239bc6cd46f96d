/* floor_client.c - the minimal client: the floor of W1, W2, W3 and the latency of W4.
 *
 * The load of many devices, for W4 and W5, is in load.c. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/check.h"
#include "perf/floor.h"
#include "wire/pack.h"

static catalog *load_catalog(void)
{
    catalog *cat = NULL;
    fb_error err = {0};
    must(catalog_load(catalog_builtin_text(), &cat, &err), &err, "catalogue");
    return cat;
}

gen *floor_gen(const catalog *cat, const char *size, uint32_t user)
{
    static const fb_id DEVICE = {{1, 144, 17, 34, 51, 68, 112, 0, 144, 1, 2, 3, 4, 5, 6, 7}};
    char code[8];
    snprintf(code, sizeof code, "F%u", user);
    return gen_new(cat, strcmp(size, "small") == 0 ? &GEN_SMALL : &GEN_FULL,
                   &(gen_who){.user = user, .device = DEVICE, .device_code = text_of(code)});
}

static void write_order(tables *t, gen *g, uint32_t number)
{
    gen_row rows[GEN_ORDER_ROWS];
    gen_order(g, number, rows);
    for (int i = 0; i < GEN_ORDER_ROWS; i++) {
        tables_write(t, &rows[i]);
    }
}

void floor_fill(tables *t, const char *size, uint32_t orders)
{
    if (strcmp(size, "none") == 0) {
        return;
    }
    gen *g = floor_gen(t->cat, size, 0);
    tables_seed(t, g);
    tables_run(t, "BEGIN");
    for (uint32_t i = 0; i < orders; i++) {
        write_order(t, g, i);
    }
    tables_run(t, "COMMIT");
    tables_run(t, "PRAGMA wal_checkpoint(TRUNCATE)");
    gen_free(g);
}

/* ---------------------------------------------------------------- W1 */

static gen_row *orders_make(gen *g, uint32_t count)
{
    gen_row *rows = calloc((size_t)count * GEN_ORDER_ROWS, sizeof *rows);
    if (rows == NULL) {
        bench_die("out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        gen_order(g, i, &rows[(size_t)i * GEN_ORDER_ROWS]);
    }
    return rows;
}

/* floor-record DB ORDERS full|normal: one transaction for each order. */
void role_floor_record(int argc, char **argv, sample *out)
{
    tables t;
    stopwatch w;
    if (argc != 3) {
        bench_die("floor-record: DB ORDERS full|normal");
    }
    catalog *cat = load_catalog();
    gen *g = floor_gen(cat, "full", 0);
    tables_open(&t, cat,
                &(tables_options){.path = argv[0], .sync_normal = strcmp(argv[2], "normal") == 0});
    tables_seed(&t, g);
    tables_run(&t, "PRAGMA wal_checkpoint(TRUNCATE)");
    uint32_t orders = (uint32_t)number_of(argv[1]);
    gen_row *rows = orders_make(g, orders);
    int64_t before = file_bytes_of(argv[0]);
    watch_begin(&w, 0);
    for (uint32_t i = 0; i < orders; i++) {
        tables_run(&t, "BEGIN IMMEDIATE");
        for (uint32_t k = 0; k < GEN_ORDER_ROWS; k++) {
            tables_write(&t, &rows[(size_t)i * GEN_ORDER_ROWS + k]);
        }
        tables_run(&t, "COMMIT");
    }
    watch_end(&w, out);
    out->rows = (int64_t)orders * GEN_ORDER_ROWS;
    out->count = orders;
    tables_run(&t, "PRAGMA wal_checkpoint(TRUNCATE)");
    out->file_bytes = file_bytes_of(argv[0]) - before;
    tables_close(&t);
    free(rows);
    gen_free(g);
    catalog_free(cat);
}

/* ---------------------------------------------------------------- W2 */

typedef struct push {
    net_conn *conn;
    tables *t;
    buf frame;
    uint32_t frames, rows;
} push;

static void push_block(void *ctx, buf *block, uint32_t rows)
{
    push *p = ctx;
    if (rows == 0) {
        return;
    }
    buf_reset(&p->frame);
    frame_put(&p->frame, 'P', buf_text(block));
    net_send(p->conn, p->frame.data, p->frame.size);
    buf_reset(block);
    p->frames++;
    p->rows += rows;
}

/* About what 500 orders take, packed. */
enum { PUSH_BLOCK_BYTES = FLOOR_PUSH_ORDERS * 950 };

static void keep_block(void *ctx, buf *block, uint32_t rows)
{
    (void)ctx;
    (void)block;
    (void)rows;
}

/* What zstd would make of the same rows. */
static int64_t packed_bytes(tables *t)
{
    buf all, packed;
    buf_init(&all, FLOOR_BYTES_MAX);
    buf_init(&packed, FLOOR_BYTES_MAX);
    tables_each(t, FLOOR_BYTES_MAX, &all, keep_block, NULL);
    must(pack_put(&packed, buf_text(&all)), NULL, "zstd");
    int64_t size = (int64_t)packed.size;
    buf_clear(&all);
    buf_clear(&packed);
    return size;
}

/* floor-push DB PORT SERVER CA: all orders of a floor-record database; `count` is the packed size.
 */
void role_floor_push(int argc, char **argv, sample *out)
{
    tables t;
    stopwatch w;
    buf block;
    if (argc != 4) {
        bench_die("floor-push: DB PORT SERVER CA");
    }
    catalog *cat = load_catalog();
    tables_open(&t, cat, &(tables_options){.path = argv[0]});
    tables_run(&t, "DELETE FROM customer; DELETE FROM product; DELETE FROM price_list_item");
    net *client = net_client(argv[3]);
    push p = {.t = &t};
    buf_init(&p.frame, FLOOR_BYTES_MAX);
    buf_init(&block, FLOOR_BYTES_MAX);
    watch_begin(&w, (pid_t)number_of(argv[2]));
    p.conn = net_connect(client, (int)number_of(argv[1]), NULL);
    tables_each(&t, PUSH_BLOCK_BYTES, &block, push_block, &p);
    for (uint32_t i = 0; i < p.frames; i++) {
        (void)frame_wait(p.conn);
    }
    watch_end(&w, out);
    out->rows = p.rows;
    out->up_bytes = p.conn->up_bytes;
    out->down_bytes = p.conn->down_bytes;
    out->count = packed_bytes(&t);
    net_close(p.conn);
    buf_clear(&p.frame);
    buf_clear(&block);
    net_free(client);
    tables_close(&t);
    catalog_free(cat);
}

/* ---------------------------------------------------------------- W3 */

/* floor-pull DB PORT SERVER CA: all rows into a fresh database, indexes live, one transaction. */
void role_floor_pull(int argc, char **argv, sample *out)
{
    tables t;
    stopwatch w;
    if (argc != 4) {
        bench_die("floor-pull: DB PORT SERVER CA");
    }
    catalog *cat = load_catalog();
    tables_open(&t, cat, &(tables_options){.path = argv[0]});
    net *client = net_client(argv[3]);
    watch_begin(&w, (pid_t)number_of(argv[2]));
    net_conn *c = net_connect(client, (int)number_of(argv[1]), NULL);
    buf ask;
    buf_init(&ask, 64);
    frame_put(&ask, 'G', (fb_text){NULL, 0});
    net_send(c, ask.data, ask.size);
    tables_run(&t, "BEGIN IMMEDIATE");
    for (frame f = frame_wait(c); f.kind == 'g'; f = frame_wait(c)) {
        out->rows += rows_write_packed(&t, f.payload.data, f.payload.size);
    }
    tables_run(&t, "COMMIT");
    watch_end(&w, out);
    out->up_bytes = c->up_bytes;
    out->down_bytes = c->down_bytes;
    tables_run(&t, "PRAGMA wal_checkpoint(TRUNCATE)");
    out->file_bytes = file_bytes_of(argv[0]);
    net_close(c);
    buf_clear(&ask);
    net_free(client);
    tables_close(&t);
    catalog_free(cat);
}

static void unpack(ZSTD_DStream *z, const frame *f, int fd, char *room, size_t room_bytes)
{
    ZSTD_inBuffer in = {f->payload.data, f->payload.size, 0};
    while (in.pos < in.size) {
        ZSTD_outBuffer to = {room, room_bytes, 0};
        size_t rc = ZSTD_decompressStream(z, &to, &in);
        if (ZSTD_isError(rc) || write(fd, room, to.pos) != (ssize_t)to.pos) {
            bench_die("the file cannot be unpacked");
        }
    }
}

/* floor-file DB PORT SERVER CA: the compressed SQLite file, unpacked and synced. */
void role_floor_file(int argc, char **argv, sample *out)
{
    enum { ROOM_BYTES = 128 << 10 };
    stopwatch w;
    if (argc != 4) {
        bench_die("floor-file: DB PORT SERVER CA");
    }
    net *client = net_client(argv[3]);
    char *room = malloc(ROOM_BYTES);
    watch_begin(&w, (pid_t)number_of(argv[2]));
    net_conn *c = net_connect(client, (int)number_of(argv[1]), NULL);
    ZSTD_DStream *z = ZSTD_createDStream();
    int fd = open(argv[0], O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    buf ask;
    buf_init(&ask, 64);
    if (fd < 0 || z == NULL || room == NULL) {
        bench_die("cannot write %s", argv[0]);
    }
    frame_put(&ask, 'F', (fb_text){NULL, 0});
    net_send(c, ask.data, ask.size);
    for (frame f = frame_wait(c); f.kind == 'f'; f = frame_wait(c)) {
        unpack(z, &f, fd, room, ROOM_BYTES);
    }
    if (fsync(fd) != 0 || close(fd) != 0) {
        bench_die("cannot sync %s", argv[0]);
    }
    watch_end(&w, out);
    out->down_bytes = c->down_bytes;
    out->file_bytes = file_bytes_of(argv[0]);
    ZSTD_freeDStream(z);
    free(room);
    buf_clear(&ask);
    net_close(c);
    net_free(client);
}

/* ---------------------------------------------------------------- W4: latency */

/* The connection of the next sync. */
static net_conn *renew(net *client, int port, net_mode mode, net_conn *before)
{
    if (mode == NET_KEPT && before != NULL) {
        return before;
    }
    net_conn *c =
        net_connect(client, port, mode == NET_RESUMED && before != NULL ? before->ticket : NULL);
    net_close(before);
    return c;
}

/* floor-everyday PORT SERVER CA kept|resumed|new SYNCS USER: one order each. */
void role_floor_everyday(int argc, char **argv, sample *out)
{
    tables t;
    stopwatch w;
    gen_row rows[GEN_ORDER_ROWS];
    buf packed, ask;
    if (argc != 6) {
        bench_die("floor-everyday: PORT SERVER CA MODE SYNCS USER");
    }
    catalog *cat = load_catalog();
    gen *g = floor_gen(cat, "small", (uint32_t)number_of(argv[5]));
    tables_open(&t, cat, &(tables_options){.path = ":memory:"});
    net *client = net_client(argv[2]);
    net_mode mode = (net_mode)number_of(argv[3]);
    int64_t count = number_of(argv[4]), *took = calloc((size_t)count, sizeof *took);
    net_conn *c = NULL;
    buf_init(&packed, 1 << 20);
    buf_init(&ask, 1 << 20);
    watch_begin(&w, (pid_t)number_of(argv[1]));
    for (int64_t i = 0; i < count; i++) {
        gen_order(g, (uint32_t)i, rows);
        buf_reset(&packed);
        buf_reset(&ask);
        for (int k = 0; k < GEN_ORDER_ROWS; k++) {
            row_pack(&packed, &t, &rows[k]);
        }
        frame_put(&ask, 'S', buf_text(&packed));
        int64_t start = now_ns();
        c = renew(client, (int)number_of(argv[0]), mode, c);
        net_send(c, ask.data, ask.size);
        (void)frame_wait(c);
        took[i] = now_ns() - start;
    }
    watch_end(&w, out);
    sort_ns(took, (size_t)count);
    out->p50_ns = quantile_ns(took, (size_t)count, 500);
    out->p99_ns = quantile_ns(took, (size_t)count, 990);
    out->count = count;
    out->up_bytes = (int64_t)packed.size;
    net_close(c);
    free(took);
    buf_clear(&packed);
    buf_clear(&ask);
    net_free(client);
    tables_close(&t);
    gen_free(g);
    catalog_free(cat);
}
