/* company.c - what IT imports before the first day, and the phones that enrol. See soak.h.
 *
 * Every rep has a territory and customers of its own, so that what belongs on a phone can be told
 * from outside with one comparison; the manager sees all of it. Prices have no remainder: the
 * harness counts the money itself. */
#include "soak/soak.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *csv_open(const soak *s, const char *entity, const char *head)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s.csv", s->folder, entity);
    FILE *f = fopen(path, "wbe");
    if (f == NULL) {
        give_up("cannot write %s: %s", path, strerror(errno));
    }
    fprintf(f, "%s\n", head);
    return f;
}

static void import(const soak *s, const char *entity, FILE *f)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s.csv", s->folder, entity);
    if (fclose(f) != 0) {
        give_up("cannot write %s", path);
    }
    const char *const argv[] = {"fieldbook-admin", "--home", s->home, "import", entity, path, NULL};
    proc_must(s, argv);
    (void)unlink(path);
}

static void people(const soak *s)
{
    int reps = s->devices_count - 1;
    FILE *f = csv_open(s, "org_unit", "code,name,kind,parent_id");
    fputs("S,Soak,company,\nR1,North,region,S\n", f);
    import(s, "org_unit", f);
    f = csv_open(s, "territory", "code,name,org_unit_id");
    for (int i = 1; i <= reps; i++) {
        fprintf(f, "T%d,Territory %d,R1\n", i, i);
    }
    import(s, "territory", f);
    f = csv_open(s, "app_user", "code,login,name,org_unit_id,status,locale");
    for (int i = 1; i <= reps; i++) {
        fprintf(f, "E%d,rep%d,Rep %d,R1,active,en\n", i, i, i);
    }
    fputs("M1,manager,Manager,R1,active,en\n", f);
    import(s, "app_user", f);
    f = csv_open(s, "user_role", "user_id,role_id");
    for (int i = 1; i <= reps; i++) {
        fprintf(f, "E%d,REP\n", i);
    }
    fputs("M1,MGR\n", f);
    import(s, "user_role", f);
    f = csv_open(s, "user_territory", "user_id,territory_id,is_primary");
    for (int i = 1; i <= reps; i++) {
        fprintf(f, "E%d,T%d,1\n", i, i);
    }
    import(s, "user_territory", f);
}

static void products(const soak *s)
{
    FILE *f = csv_open(s, "product_category", "code,name");
    fputs("C1,Everything\n", f);
    import(s, "product_category", f);
    f = csv_open(s, "tax_code", "code,name,rate_bp,included,active");
    fputs("T0,No tax,0,0,1\n", f);
    import(s, "tax_code", f);
    f = csv_open(s, "product", "code,name,category_id,spec,base_uom,type,tax_code_id,status");
    for (int i = 1; i <= PRODUCTS; i++) {
        fprintf(f, "P%d,Product %d,C1,,EA,good,T0,active\n", i, i);
    }
    import(s, "product", f);
    f = csv_open(s, "price_list",
                 "code,name,currency,tax_included,priority,valid_from,valid_to,active");
    fputs("L1,List,USD,0,0,2020-01-01,,1\n", f);
    import(s, "price_list", f);
    f = csv_open(s, "price_list_item",
                 "price_list_id,product_id,uom,min_qty_milli,price_4dp,valid_from,valid_to");
    for (int i = 1; i <= PRODUCTS; i++) {
        fprintf(f, "L1,P%d,EA,0,%d.%02d,,\n", i, i, 7 * i); /* PRICE_MINOR of jobs.c */
    }
    import(s, "price_list_item", f);
    f = csv_open(s, "price_assignment", "target_kind,price_list_id,priority");
    fputs("global,L1,0\n", f);
    import(s, "price_assignment", f);
    f = csv_open(s, "customer",
                 "code,name,party_type,owner_id,territory_id,phone,status,acquisition_source");
    for (int i = 1; i < s->devices_count; i++) {
        for (int k = 1; k <= CUSTOMERS_EACH; k++) {
            fprintf(f, "K%d-%d,Shop %d of %d,customer,E%d,T%d,13%03d%06d,active,import\n", i, k, k,
                    i, i, i, i, k);
        }
    }
    import(s, "customer", f);
}

/* The disk is small: uploads must not wait for a gigabyte to be free. */
static void configure(soak *s)
{
    char *text = file_text(s->server_conf);
    FILE *f = fopen(s->server_conf, "wbe");
    if (f == NULL) {
        give_up("cannot write %s", s->server_conf);
    }
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (strncmp(line, "blob_free_min_mib", 17) == 0) {
            fputs("blob_free_min_mib = 1\n", f);
        } else {
            fprintf(f, "%s\n", line);
        }
    }
    free(text);
    if (fclose(f) != 0) {
        give_up("cannot write %s", s->server_conf);
    }
}

void company_make(soak *s)
{
    char port[16], other[PATH_BYTES + 16];
    snprintf(port, sizeof port, "%u", (unsigned)s->server_port);
    snprintf(other, sizeof other, "%s/stranger", s->folder);
    folder_make(other);
    const char *const init[] = {"fieldbook-admin",
                                "--home",
                                s->home,
                                "init",
                                "--company",
                                "Soak",
                                "--host",
                                "127.0.0.1,10.77.0.1,10.78.0.2",
                                "--port",
                                port,
                                "--listen",
                                s->server_address,
                                NULL};
    proc_must(s, init);
    const char *const stranger[] = {
        "fieldbook-admin",     "--home", other, "init", "--company", "Stranger", "--host",
        "127.0.0.1,10.77.0.1", NULL};
    proc_must(s, stranger);
    configure(s);
    people(s);
    products(s);
}

/* The code stands in the JSON that the administrator's program prints. */
static void code_get(const soak *s, const soak_device *d, char out[32])
{
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/code.out", s->folder);
    const char *const argv[] = {"fieldbook-admin", "--home", s->home, "--json", "code", "make",
                                d->user,           NULL};
    if (proc_run(s, argv, path, path) != 0) {
        give_up("no enrolment code for %s", d->user);
    }
    char *text = file_text(path);
    const char *at = strstr(text, "\"code\":\"");
    snprintf(out, 32, "%.*s", at == NULL ? 0 : (int)strcspn(at + 8, "\""),
             at == NULL ? "" : at + 8);
    free(text);
}

static void client_must(const soak *s, const soak_device *d, const char *const *argv)
{
    char log[PATH_BYTES + 16];
    snprintf(log, sizeof log, "%s/last.out", s->folder);
    if (proc_wait(proc_start(s, &(start){.host = d->host, .out = log, .err = log}, argv)) != 0) {
        char *text = file_text(log);
        fprintf(stderr, "%s", text);
        free(text);
        give_up("%s cannot %s", d->user, argv[3]);
    }
}

void devices_enrol(soak *s)
{
    char ca[PATH_BYTES + 16], code[32];
    snprintf(ca, sizeof ca, "%s/ca.pem", s->home);
    for (int i = 0; i < s->devices_count; i++) {
        soak_device *d = &s->devices[i];
        code_get(s, d, code);
        const char *const enrol[] = {"fieldbook", "--db",  d->db, "enrol",  "--server",
                                     d->url,      "--ca",  ca,    "--code", code,
                                     "--name",    d->user, NULL};
        const char *const sync[] = {"fieldbook", "--db", d->db, "sync", NULL};
        client_must(s, d, enrol);
        client_must(s, d, sync);
    }
}
