/* certificate.c - the server's certificate: show it, renew it. See admin.h.
 *
 * Which files they are says fieldbookd.conf; the authority is ca.pem and ca.key of the home.
 * Renewing replaces key and certificate each as a whole (CA-1); devices trust the authority and
 * notice nothing. */
#include "sync-server/admin/admin.h"

#include <string.h>
#include <time.h>

#include "platform/posix/ca.h"
#include "platform/posix/config.h"

enum { PATH_BYTES = 4096, DATE_BYTES = 24, HOSTS_BYTES = CA_NAMES_MAX * (CA_NAME_BYTES + 1) };
#define DAY_MS INT64_C(86400000)

static void date_put(int64_t at_ms, char out[DATE_BYTES])
{
    time_t s = (time_t)(at_ms / 1000);
    struct tm utc;
    gmtime_r(&s, &utc);
    strftime(out, DATE_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void names_put(const ca_info *info, const char *quote, buf *out)
{
    for (uint32_t i = 0; i < info->names_count; i++) {
        buf_printf(out, "%s%s%s%s", i > 0 ? "," : "", quote, info->names[i], quote);
    }
}

static fb_code show(const admin *a, const char *path, fb_error *err)
{
    ca_info info;
    char from[DATE_BYTES], until[DATE_BYTES];
    buf names;
    FB_TRY(ca_read(path, &info, err));
    date_put(info.not_before_ms, from);
    date_put(info.not_after_ms, until);
    buf_init(&names, HOSTS_BYTES + 2 * CA_NAMES_MAX);
    names_put(&info, a->json ? "\"" : "", &names);
    int64_t days = (info.not_after_ms - a->port->wall_ms(a->port->ctx)) / DAY_MS;
    admin_say(a, TEXT_CERT_SHOWN, path, buf_cstr(&names), from, until, (long long)days);
    if (a->json) {
        printf("{\"names\":[%s],\"from\":\"%s\",\"until\":\"%s\",\"days_left\":%lld}\n",
               buf_cstr(&names), from, until, (long long)days);
    }
    buf_clear(&names);
    return FB_OK;
}

/* The names of --host, else those of the present certificate. */
static fb_code names_choose(char *hosts, const ca_info *present, ca_leaf *leaf,
                            const char *names[CA_NAMES_MAX], fb_error *err)
{
    leaf->names = names;
    for (uint32_t i = 0; hosts == NULL && i < present->names_count; i++) {
        names[leaf->names_count++] = present->names[i];
    }
    for (char *host = strsep(&hosts, ","); host != NULL; host = strsep(&hosts, ",")) {
        if (leaf->names_count == CA_NAMES_MAX) {
            return fail(err, FB_E_RANGE, "--host", "at most %d names: leave some out",
                        CA_NAMES_MAX);
        }
        names[leaf->names_count++] = host;
    }
    return FB_OK;
}

static fb_code renew(const admin *a, const server_config *config, const char *host, int64_t days,
                     fb_error *err)
{
    char ca[PATH_BYTES], ca_key[PATH_BYTES], hosts[HOSTS_BYTES];
    const char *names[CA_NAMES_MAX] = {NULL};
    ca_info present = {.names_count = 0};
    ca_leaf leaf = {
        .days = (uint32_t)days, .cert_path = config->certificate, .key_path = config->key};
    if (host == NULL) {
        FB_TRY(ca_read(config->certificate, &present, err));
    } else if (strlen(host) >= sizeof hosts) {
        return fail(err, FB_E_LENGTH, "--host", "the list of names is too long: leave some out");
    }
    snprintf(hosts, sizeof hosts, "%s", host != NULL ? host : "");
    FB_TRY(names_choose(host != NULL ? hosts : NULL, &present, &leaf, names, err));
    snprintf(ca, sizeof ca, "%s/ca.pem", a->home);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", a->home);
    return ca_issue(ca, ca_key, &leaf, err);
}

static int usage_said(const admin *a)
{
    admin_warn(a, TEXT_MISSING_ARGUMENT, "show | renew [--host HOST,...] [--days 1..398]",
               a->command);
    return EXIT_USAGE;
}

int command_certificate(admin *a)
{
    const char *host = option_take(a, "--host"), *text = option_take(a, "--days");
    int64_t days = CA_LEAF_DAYS_MAX;
    char path[PATH_BYTES];
    server_config config;
    fb_error err = {0};
    if (options_left(a)) {
        return EXIT_USAGE;
    }
    bool renews = a->argc == 1 && strcmp(a->argv[0], "renew") == 0;
    bool shows = a->argc == 1 && strcmp(a->argv[0], "show") == 0 && host == NULL && text == NULL;
    bool days_fine =
        text == NULL || (i64_get(text_of(text), &days) && days >= 1 && days <= CA_LEAF_DAYS_MAX);
    if ((!renews && !shows) || !days_fine) {
        return usage_said(a);
    }
    snprintf(path, sizeof path, "%s/fieldbookd.conf", a->home);
    fb_code rc = config_get(path, &config, &err);
    if (rc == FB_E_NOT_FOUND) {
        return admin_no_company(a);
    }
    if (rc == FB_OK && renews) {
        rc = renew(a, &config, host, days, &err);
    }
    if (rc == FB_OK) {
        rc = show(a, config.certificate, &err);
    }
    if (rc != FB_OK) {
        return admin_failed(a, rc, &err);
    }
    if (renews) {
        admin_say(a, TEXT_CERT_RENEWED);
    }
    return EXIT_DONE;
}
