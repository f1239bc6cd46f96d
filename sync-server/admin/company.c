/* company.c - init: a folder with certificates, configuration and the first database. See admin.h.
 *
 * Refuses a folder that holds a company already; what it had written itself is taken away again
 * when a later step fails (ADM-1). */
#include "sync-server/admin/admin.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/posix/ca.h"
#include "platform/posix/config.h"
#include "platform/posix/file.h"
#include "sync-server/server.h"

enum { PORT_DEFAULT = 8443, PATH_BYTES = 4096 };

typedef struct init_options {
    const char *company, *code, *listen;
    const char *hosts[CA_NAMES_MAX];
    uint32_t hosts_count;
    int64_t port;
} init_options;

static const char *const FILES[] = {"ca.pem",        "ca.key",          "server.pem",
                                    "server.key",    "fieldbookd.conf", "master.db",
                                    "master.db-wal", "master.db-shm"};

static void path_put(const admin *a, const char *name, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%s", a->home, name);
}

/* Splits "a,b" in place. */
static bool hosts_read(init_options *o, char *list)
{
    char *rest = list;
    for (char *host = strsep(&rest, ","); host != NULL; host = strsep(&rest, ",")) {
        if (host[0] == '\0' || o->hosts_count == CA_NAMES_MAX) {
            return false;
        }
        o->hosts[o->hosts_count++] = host;
    }
    return o->hosts_count > 0;
}

static bool options_read(admin *a, init_options *o, char *hosts, size_t hosts_size)
{
    const char *port = option_take(a, "--port"), *host = option_take(a, "--host");
    o->company = option_take(a, "--company");
    o->code = option_take(a, "--code");
    o->listen = option_take(a, "--listen");
    o->port = PORT_DEFAULT;
    if (options_left(a)) {
        return false;
    }
    if (o->company == NULL || o->company[0] == '\0') {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "--company NAME", a->command);
        return false;
    }
    snprintf(hosts, hosts_size, "%s", host != NULL ? host : "localhost,127.0.0.1");
    bool good = hosts_read(o, hosts) && (port == NULL || i64_get(text_of(port), &o->port)) &&
                o->port > 0 && o->port < 65536;
    if (!good) {
        admin_warn(a, TEXT_MISSING_ARGUMENT, "--host HOST,... --port 1..65535", a->command);
    }
    return good;
}

static fb_code certificates_make(const admin *a, const init_options *o, fb_error *err)
{
    char ca[PATH_BYTES], ca_key[PATH_BYTES], cert[PATH_BYTES], key[PATH_BYTES];
    path_put(a, "ca.pem", ca);
    path_put(a, "ca.key", ca_key);
    path_put(a, "server.pem", cert);
    path_put(a, "server.key", key);
    FB_TRY(ca_create(ca, ca_key, o->company, err));
    ca_leaf leaf = {.names = o->hosts,
                    .names_count = o->hosts_count,
                    .days = CA_LEAF_DAYS_MAX,
                    .cert_path = cert,
                    .key_path = key};
    return ca_issue(ca, ca_key, &leaf, err);
}

static fb_code config_make(const admin *a, const init_options *o, fb_error *err)
{
    server_config config;
    config_init(&config);
    snprintf(config.database, sizeof config.database, "master.db");
    snprintf(config.certificate, sizeof config.certificate, "server.pem");
    snprintf(config.key, sizeof config.key, "server.key");
    if (o->listen != NULL) {
        snprintf(config.address, sizeof config.address, "%s", o->listen);
    }
    config.port = (uint32_t)o->port;
    char path[PATH_BYTES];
    path_put(a, "fieldbookd.conf", path);
    buf text;
    buf_init(&text, CONFIG_FILE_BYTES_MAX);
    config_put(&text, &config);
    fb_code rc = text.code == FB_OK ? file_create(path, buf_text(&text), false, err) : text.code;
    buf_clear(&text);
    return rc;
}

static fb_code company_make(const admin *a, const init_options *o, fb_error *err)
{
    FB_TRY(certificates_make(a, o, err));
    FB_TRY(config_make(a, o, err));
    char path[PATH_BYTES];
    path_put(a, "master.db", path);
    server_create_options create = {.path = path,
                                    .port = a->port,
                                    .company_code = o->code != NULL ? o->code : "COMPANY",
                                    .company_name = o->company};
    return server_create(&create, err);
}

static bool company_stands(const admin *a)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        path_put(a, FILES[i], path);
        if (access(path, F_OK) == 0) {
            return true;
        }
    }
    return false;
}

static void company_undo(const admin *a)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        path_put(a, FILES[i], path);
        unlink(path);
    }
}

int command_init(admin *a)
{
    init_options o = {0};
    char hosts[2048];
    fb_error err = {0};
    if (!options_read(a, &o, hosts, sizeof hosts)) {
        return EXIT_USAGE;
    }
    if (mkdir(a->home, 0700) != 0 && errno != EEXIST) {
        return admin_failed(
            a, fail(&err, FB_E_IO, a->home, "cannot make the folder: %s", strerror(errno)), &err);
    }
    if (company_stands(a)) {
        admin_warn(a, TEXT_INIT_EXISTS, a->home);
        return EXIT_REFUSED;
    }
    fb_code rc = company_make(a, &o, &err);
    if (rc != FB_OK) {
        company_undo(a);
        return admin_failed(a, rc, &err);
    }
    admin_say(a, TEXT_INIT_DONE, o.company, a->home, a->home, a->home, a->home);
    if (a->json) {
        printf("{\"home\":\"%s\",\"port\":%d}\n", a->home, (int)o.port);
    }
    return EXIT_DONE;
}
