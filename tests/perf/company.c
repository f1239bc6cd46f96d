/* company.c - see company.h. */
#include "perf/company.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "platform/posix/port.h"
#include "sync-server/door/door.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/store/store.h"

enum {
    COMMIT_ROWS = 1000,
    CODE_VALID_MS = 3600000,
    SMALL_USERS = 101,
    START_MS = 20000,
    ENROLMENTS = 16
};

/* ---------------------------------------------------------------- rows through the ledger */

typedef struct filler {
    store *db;
    gen *g;
    change changes[COMMIT_ROWS];
    uint32_t count;
    arena *memory;
} filler;

static void filler_commit(filler *f)
{
    int64_t cid = 0;
    commit_source from = {.at_ms = fb_port_posix()->wall_ms(fb_port_posix()->ctx),
                          .kind = text_of("import")};
    if (f->count == 0) {
        return;
    }
    must(store_begin(f->db), NULL, "master data");
    must(ledger_commit(f->db, &from, f->changes, f->count, &cid), NULL, "master data");
    must(store_commit(f->db), NULL, "master data");
    f->count = 0;
    arena_reset(f->memory);
}

static void filler_add(filler *f, gen_row row)
{
    /* The catalogue of the store is another object than the generator's, with the same columns. */
    const cat_entity *e = catalog_entity(store_catalog(f->db), row.entity->name);
    fb_value *values = arena_take(f->memory, e->columns_count * sizeof *values);
    if (values == NULL) {
        bench_die("out of memory");
    }
    for (uint32_t i = 0; i < row.count; i++) {
        values[row.columns[i]] = row.values[i];
    }
    f->changes[f->count++] = (change){.kind = CHANGE_INSERT,
                                      .entity = e,
                                      .id = values[0].u.id,
                                      .values = values,
                                      .columns_count = e->columns_count};
    if (f->count == COMMIT_ROWS) {
        filler_commit(f);
    }
}

#define ADD(f, entity, ...)                                                 \
    filler_add(f, gen_make((f)->g, entity, (const gen_cell[]){__VA_ARGS__}, \
                           sizeof((const gen_cell[]){__VA_ARGS__}) / sizeof(gen_cell)))

static void organisation_add(filler *f, const gen_size *size)
{
    ADD(f, "org_unit", {"id", gen_ref(GEN_ORG_UNIT, 0)}, {"code", gen_str("HQ")},
        {"name", gen_str("Head office")}, {"kind", gen_str("company")});
    for (uint32_t i = 0; i < size->territories; i++) {
        ADD(f, "territory", {"id", gen_ref(GEN_TERRITORY, i)}, {"code", gen_text(f->g, "T%03u", i)},
            {"name", gen_text(f->g, "Territory %u", i)}, {"org_unit_id", gen_ref(GEN_ORG_UNIT, 0)});
    }
}

static fb_value role_of(filler *f, const char *code)
{
    const cat_entity *e = catalog_entity_str(store_catalog(f->db), "role");
    fb_value values[CATALOG_COLUMNS_LIMIT];
    fb_value equal = gen_str(code);
    must(store_row_by(f->db, e, cat_column_str(e, "code"), &equal, f->memory, values), NULL,
         "the role REP");
    return values[0];
}

static void people_add(filler *f, const gen_size *size, uint32_t users)
{
    fb_value rep = role_of(f, "REP");
    for (uint32_t u = 0; u < users; u++) {
        ADD(f, "app_user", {"id", gen_ref(GEN_USER, u)}, {"code", gen_text(f->g, "U%03u", u)},
            {"login", gen_text(f->g, "rep%03u", u)}, {"name", gen_text(f->g, "Rep %u", u)},
            {"org_unit_id", gen_ref(GEN_ORG_UNIT, 0)}, {"status", gen_str("active")});
        ADD(f, "user_role", {"id", gen_ref(GEN_USER_ROLE, u)}, {"user_id", gen_ref(GEN_USER, u)},
            {"role_id", rep});
        for (uint32_t t = 0; t < size->territories; t++) {
            if (!gen_is_member(size, u, t)) {
                continue;
            }
            ADD(f, "user_territory", {"id", gen_ref(GEN_USER_TERRITORY, u * size->territories + t)},
                {"user_id", gen_ref(GEN_USER, u)}, {"territory_id", gen_ref(GEN_TERRITORY, t)},
                {"is_primary", gen_int(t == 0)});
        }
    }
}

static void lists_add(filler *f)
{
    ADD(f, "tax_code", {"id", gen_ref(GEN_TAX, 0)}, {"code", gen_str("VAT13")},
        {"name", gen_str("VAT 13 %")}, {"rate_bp", gen_int(1300)}, {"included", gen_int(0)});
    for (uint32_t i = 0; i < 8; i++) {
        ADD(f, "product_category", {"id", gen_ref(GEN_CATEGORY, i)},
            {"code", gen_text(f->g, "K%u", i + 1)}, {"name", gen_text(f->g, "Category %u", i + 1)});
    }
    for (uint32_t i = 0; i < GEN_LISTS; i++) {
        ADD(f, "price_list", {"id", gen_ref(GEN_LIST, i)}, {"code", gen_text(f->g, "L%u", i + 1)},
            {"name", gen_text(f->g, "List %u", i + 1)}, {"currency", gen_str("CNY")},
            {"tax_included", gen_int(0)});
        ADD(f, "price_assignment", {"id", gen_ref(GEN_LIST_FOR, i)},
            {"target_kind", gen_str(i == 0 ? "global" : "channel")},
            {"target_code", i == 0 ? (fb_value){0} : gen_str(i == 1 ? "ka" : "online")},
            {"price_list_id", gen_ref(GEN_LIST, i)});
    }
}

static void master_add(filler *f, const gen_size *size)
{
    for (uint32_t i = 0; i < size->customers; i++) {
        filler_add(f, gen_customer(f->g, i));
    }
    for (uint32_t i = 0; i < size->products; i++) {
        filler_add(f, gen_product(f->g, i));
    }
    for (uint32_t i = 0; i < gen_prices(size); i++) {
        filler_add(f, gen_price(f->g, i));
    }
}

static void company_fill(const company *c, const gen_size *size, uint32_t users)
{
    static filler f;
    char path[PATH_BYTES];
    fb_error err = {0};
    catalog *cat = NULL;
    path_of(path, "%s/master.db", c->home);
    f = (filler){.memory = arena_new(256 << 20)};
    must(store_open(&(store_options){.path = path}, &f.db, &err), &err, path);
    must(catalog_load(catalog_builtin_text(), &cat, &err), &err, "catalogue");
    f.g = gen_new(cat, size, &(gen_who){0});
    organisation_add(&f, size);
    filler_commit(&f);
    people_add(&f, size, users);
    lists_add(&f);
    filler_commit(&f);
    master_add(&f, size);
    filler_commit(&f);
    gen_free(f.g);
    arena_free(f.memory);
    store_close(f.db);
    catalog_free(cat);
}

/* ---------------------------------------------------------------- the company's folder */

static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        bench_die("no free port on loopback: %s", strerror(errno));
    }
    close(fd);
    return ntohs(a.sin_port);
}

static void company_paths(company *c, const char *folder)
{
    path_of(c->home, "%s", folder);
    path_of(c->ca, "%s/ca.pem", folder);
    path_of(c->log, "%s.log", folder);
}

void company_make(company *c, const char *folder, const gen_size *size, uint32_t users)
{
    *c = (company){.port = free_port()};
    company_paths(c, folder);
    folder_make(c->home);
    const char *argv[] = {"fieldbook-admin",
                          "--home",
                          c->home,
                          "init",
                          "--company",
                          "Bench",
                          "--code",
                          "BE",
                          "--host",
                          "localhost,127.0.0.1",
                          "--listen",
                          "127.0.0.1",
                          "--port",
                          number_text(c->port),
                          NULL};
    program_run(argv, c->log);
    company_fill(c, size, users);
}

/* The configuration names files by the folder it was made in. */
static void config_move(const company *from, const company *to)
{
    const char *argv[] = {"sed", "-i", NULL, NULL, NULL};
    char script[2 * PATH_BYTES + 8], config[PATH_BYTES];
    snprintf(script, sizeof script, "s#%s/#%s/#g", from->home, to->home);
    path_of(config, "%s/fieldbookd.conf", to->home);
    argv[2] = script;
    argv[3] = config;
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        bench_die("cannot change %s", config);
    }
}

void company_copy(const company *from, company *to, const char *folder)
{
    *to = (company){.port = from->port};
    company_paths(to, folder);
    folder_copy(from->home, to->home);
    config_move(from, to);
}

int64_t company_bytes(const company *c)
{
    char path[PATH_BYTES];
    path_of(path, "%s/master.db", c->home);
    return file_bytes_of(path);
}

/* ---------------------------------------------------------------- running */

void company_start(company *c)
{
    char config[PATH_BYTES], ready[PATH_BYTES];
    path_of(config, "%s/fieldbookd.conf", c->home);
    path_of(ready, "%s/ready", c->home);
    unlink(ready);
    const char *argv[] = {"fieldbookd", "--config", config, "--ready-file", ready, NULL};
    c->server = program_start(argv, c->log);
    for (int64_t start = now_ns(); access(ready, F_OK) != 0;) {
        if (waitpid(c->server, NULL, WNOHANG) == c->server ||
            now_ns() - start > START_MS * INT64_C(1000000)) {
            bench_die("fieldbookd did not start: see %s", c->log);
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

void company_stop(company *c)
{
    if (c->server != 0) {
        role_stop(c->server);
        c->server = 0;
    }
}

static void code_make(const company *c, uint32_t user, buf *out)
{
    char path[PATH_BYTES];
    fb_error err = {0};
    store *db = NULL;
    const fb_port *port = fb_port_posix();
    fb_id id = gen_id(GEN_USER, user);
    path_of(path, "%s/master.db", c->home);
    must(store_open(&(store_options){.path = path}, &db, &err), &err, path);
    must(store_begin(db), NULL, "enrolment code");
    must(door_code_make(db, &id, port->wall_ms(port->ctx), CODE_VALID_MS, port, out), NULL,
         "enrolment code");
    must(store_commit(db), NULL, "enrolment code");
    store_close(db);
}

static sample enrol(const company *c, uint32_t user, const char *db, const char *how)
{
    buf code;
    buf_init(&code, 256);
    code_make(c, user, &code);
    file_remove(db);
    const char *args[] = {
        "enrol", db,  number_text(c->port), number_text(c->server), c->ca, buf_cstr(&code),
        how,     NULL};
    sample s = role_run(args);
    buf_clear(&code);
    return s;
}

sample company_enrol(const company *c, uint32_t user, const char *db)
{
    return enrol(c, user, db, "sync");
}

void company_enrol_only(const company *c, uint32_t user, const char *db)
{
    (void)enrol(c, user, db, "only");
}

void full_company(const bench *b, company *c, char device[PATH_BYTES])
{
    static company made;
    path_of(device, "%s/full-device.db", b->home);
    if (made.port == 0) {
        char path[PATH_BYTES];
        path_of(path, "%s/full", b->home);
        company_make(&made, path, &GEN_FULL, 1);
        company_start(&made);
        (void)company_enrol(&made, 0, device);
        company_stop(&made);
    }
    *c = made;
}

void small_device(const bench *b, uint32_t number, char out[PATH_BYTES])
{
    path_of(out, "%s/devices/d%03u.db", b->home, number);
}

void small_company(const bench *b, company *c)
{
    static company made;
    if (made.port == 0) {
        char path[PATH_BYTES];
        path_of(path, "%s/small", b->home);
        company_make(&made, path, &GEN_SMALL, SMALL_USERS);
        path_of(path, "%s/devices", b->home);
        folder_make(path);
        for (uint32_t i = 0; i < SMALL_USERS; i++) {
            if (i % ENROLMENTS == 0) { /* more at once from one address would be refused: E_RATE */
                company_stop(&made);
                company_start(&made);
            }
            small_device(b, i, path);
            (void)company_enrol(&made, i, path);
        }
        company_stop(&made);
    }
    *c = made;
}
