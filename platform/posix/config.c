/* config.c - see config.h. One table says everything about a key; reading and writing follow it. */
#include "platform/posix/config.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "platform/posix/file.h"
#include "platform/posix/port.h"

typedef enum config_kind { KIND_NUMBER, KIND_TEXT, KIND_PATH, KIND_LEVEL } config_kind;

typedef struct config_key {
    const char *name;
    config_kind kind;
    size_t offset;
    uint32_t min, max; /* of a number */
    const char *value; /* the default */
    const char *about;
} config_key;

enum { PORT_MAX = 65535, CACHE_KIB_MAX = 16 << 20, BLOB_MIB_MAX = 1 << 30 };

/* A limit's default is its ceiling too: the file may only lower it. */
#define AT(member) offsetof(server_config, member)
#define LIMIT(member, value, about)                                                           \
    {                                                                                         \
#member, KIND_NUMBER, offsetof(server_config, limits.member), 1, value, #value, about \
    }

/* clang-format off */
static const config_key KEYS[] = {
    {"database", KIND_PATH, AT(database), 0, 0, "master.db",
     "The master database. Paths are below this file's folder unless they begin with /."},
    {"address", KIND_TEXT, AT(address), 0, 0, "0.0.0.0",
     "IP address to listen on. 0.0.0.0: every IPv4 address, :: every address of this machine."},
    {"port", KIND_NUMBER, AT(port), 0, PORT_MAX, "8443", "TCP port. 0: any free one, see the log."},
    {"certificate", KIND_PATH, AT(certificate), 0, 0, "server.pem",
     "The server's certificate, signed by the company's authority."},
    {"key", KIND_PATH, AT(key), 0, 0, "server.key", "Its private key; mode 0600."},
    {"log_file", KIND_PATH, AT(log_file), 0, 0, "",
     "Where log lines are appended. Empty: standard error. SIGHUP opens it anew."},
    {"log_level", KIND_LEVEL, AT(log_level), 0, 0, "info", "error, warn, info or debug."},
    {"readers", KIND_NUMBER, AT(readers), 1, WORK_READERS_MAX, "2",
     "Threads that read pages; one more writes, one more carries the connections."},
    {"cache_kib", KIND_NUMBER, AT(cache_kib), 1024, CACHE_KIB_MAX, "65536",
     "Memory for the writer's database pages, in KiB."},
    {"sync_interval_s", KIND_NUMBER, AT(sync_interval_s), 0, 86400, "900",
     "About how often a device should synchronise by itself, in seconds; each is told a moment of its own. 0: apps decide."},
    {"gone_days", KIND_NUMBER, AT(gone_days), 60, 3650, "400",
     "Days for which is remembered what was deleted or left a territory. A device that was away longer downloads anew and keeps its work."},
    {"packs", KIND_NUMBER, AT(packs), 0, 1, "1",
     "1: first downloads come as packs, made in the background. 0: as pages; the file below may be deleted."},
    {"packs_file", KIND_PATH, AT(packs_file), 0, 0, "",
     "Where packs are kept, a cache. Empty: the database's name with .packs."},
    {"packs_rows_min", KIND_NUMBER, AT(packs_rows_min), 1, 1000000, "2000",
     "Rows of a territory or other scope from which on it has a pack."},
    {"packs_rest_s", KIND_NUMBER, AT(packs_rest_s), 1, 86400, "60",
     "Seconds between two rounds that look for packs to make."},
    {"packs_age_s", KIND_NUMBER, AT(packs_age_s), 1, 604800, "600",
     "Seconds that a pack stands at least before a newer one is made."},
    {"blob_device_day_mib", KIND_NUMBER, AT(blob_device_day_mib), 1, BLOB_MIB_MAX, "4096",
     "Photos and documents: what one device may send in 24 hours, in MiB."},
    {"blob_total_mib", KIND_NUMBER, AT(blob_total_mib), 0, BLOB_MIB_MAX, "0",
     "All of them together. 0: no limit but the next one."},
    {"blob_free_min_mib", KIND_NUMBER, AT(blob_free_min_mib), 1, BLOB_MIB_MAX, "1024",
     "Left free on the disk for the database; uploads wait below it."},
    {"blob_unnamed_days", KIND_NUMBER, AT(blob_unnamed_days), 1, 3650, "30",
     "Days after which bytes that no record names are removed."},
    LIMIT(connections_max, 5000, "Limits. They may be lowered, not raised. Open connections."),
    LIMIT(strangers_per_address_max, 500,
          "Connections of one address that no device has authorised yet."),
    LIMIT(requests_per_connection_max, 100000, "Then the connection is closed and made anew."),
    LIMIT(handshake_ms, 20000, "Milliseconds for a TLS handshake; 2 KB take long on the worst lines."),
    LIMIT(head_ms, 10000, "For the head of a request."),
    LIMIT(idle_ms, 30000, "Between two requests of a connection."),
    LIMIT(progress_ms, 10000, "Within which 1 KiB of a body or a reply must move."),
    LIMIT(body_ms, 120000, "For a whole body."),
    LIMIT(reply_ms, 300000, "For a whole reply."),
    LIMIT(linger_ms, 2000, "For a refused client to read why."),
    LIMIT(stop_ms, 10000, "For the work in flight when the server stops."),
};
/* clang-format on */
enum { KEYS_COUNT = sizeof KEYS / sizeof KEYS[0] };
_Static_assert(sizeof KEYS / sizeof KEYS[0] <= 64, "the set of keys seen is one 64-bit word");

/* ---------------------------------------------------------------- values */

static char *text_of_key(server_config *config, const config_key *k)
{
    return (char *)config + k->offset;
}

static bool number_get(fb_text text, const config_key *k, uint32_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || value > k->max) {
            return false;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = (uint32_t)value;
    return text.size > 0 && value >= k->min && value <= k->max;
}

static fb_code set_text(char *out, fb_text value, const config_key *k, unsigned line, fb_error *err)
{
    if (value.size >= CONFIG_TEXT_BYTES) {
        return fail(err, FB_E_CONFIG, k->name, "line %u: the value is longer than %d bytes", line,
                    CONFIG_TEXT_BYTES - 1);
    }
    memcpy(out, value.data, value.size);
    out[value.size] = '\0';
    return FB_OK;
}

static fb_code set_value(server_config *config, const config_key *k, fb_text value, unsigned line,
                         fb_error *err)
{
    if (k->kind == KIND_NUMBER) {
        uint32_t number = 0;
        if (!number_get(value, k, &number)) {
            return fail(err, FB_E_CONFIG, k->name, "line %u: must be a whole number from %u to %u",
                        line, (unsigned)k->min, (unsigned)k->max);
        }
        memcpy((char *)config + k->offset, &number, sizeof number);
        return FB_OK;
    }
    FB_TRY(set_text(text_of_key(config, k), value, k, line, err));
    fb_level level;
    if (k->kind == KIND_LEVEL && log_level_get(text_of_key(config, k), &level) != FB_OK) {
        return fail(err, FB_E_CONFIG, k->name, "line %u: must be error, warn, info or debug", line);
    }
    return FB_OK;
}

void config_init(server_config *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < KEYS_COUNT; i++) {
        fb_code rc = set_value(out, &KEYS[i], text_of(KEYS[i].value), 0, NULL);
        FB_ASSERT(rc == FB_OK);
    }
}

/* ---------------------------------------------------------------- reading */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static fb_text trimmed(fb_text t)
{
    while (t.size > 0 && is_blank(t.data[0])) {
        t.data++;
        t.size--;
    }
    while (t.size > 0 && is_blank(t.data[t.size - 1])) {
        t.size--;
    }
    return t;
}

static int find_key(fb_text name)
{
    for (int i = 0; i < KEYS_COUNT; i++) {
        if (text_is(name, KEYS[i].name)) {
            return i;
        }
    }
    return -1;
}

static fb_code get_line(server_config *config, fb_text text, unsigned line, uint64_t *seen,
                        const char *path, fb_error *err)
{
    text = trimmed(text);
    if (text.size == 0 || text.data[0] == '#') {
        return FB_OK;
    }
    if (memchr(text.data, '\0', text.size) != NULL) {
        return fail(err, FB_E_CONFIG, path, "line %u: there is a NUL byte: write plain text", line);
    }
    const char *equals = memchr(text.data, '=', text.size);
    if (equals == NULL) {
        return fail(err, FB_E_CONFIG, path, "line %u: write `key = value`, or # before a comment",
                    line);
    }
    size_t at = (size_t)(equals - text.data);
    int key = find_key(trimmed((fb_text){.data = text.data, .size = at}));
    if (key < 0) {
        return fail(err, FB_E_CONFIG, path,
                    "line %u: there is no such key: fieldbookd --print-config lists all keys",
                    line);
    }
    if ((*seen >> key & 1) != 0) {
        return fail(err, FB_E_CONFIG, KEYS[key].name,
                    "line %u: the key was given before: keep one of the two", line);
    }
    *seen |= (uint64_t)1 << key;
    fb_text value = trimmed((fb_text){.data = equals + 1, .size = text.size - at - 1});
    return set_value(config, &KEYS[key], value, line, err);
}

static fb_code get_lines(server_config *config, fb_text text, const char *path, fb_error *err)
{
    uint64_t seen = 0;
    for (unsigned line = 1; text.size > 0; line++) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end != NULL ? (size_t)(end - text.data) : text.size;
        FB_TRY(
            get_line(config, (fb_text){.data = text.data, .size = size}, line, &seen, path, err));
        size += end != NULL;
        text.data += size;
        text.size -= size;
    }
    return FB_OK;
}

/* "master.db" in the file /srv/acme/fieldbookd.conf is /srv/acme/master.db. */
static fb_code make_absolute(server_config *config, const char *path, fb_error *err)
{
    const char *slash = strrchr(path, '/');
    int folder_size = slash != NULL ? (int)(slash - path + 1) : 0;
    for (size_t i = 0; i < KEYS_COUNT; i++) {
        char *value = text_of_key(config, &KEYS[i]);
        if (KEYS[i].kind != KIND_PATH || value[0] == '/' || value[0] == '\0') {
            continue;
        }
        char whole[CONFIG_TEXT_BYTES];
        int size = snprintf(whole, sizeof whole, "%.*s%s", folder_size, path, value);
        if (size < 0 || (size_t)size >= sizeof whole) {
            return fail(err, FB_E_CONFIG, KEYS[i].name, "the path is longer than %d bytes",
                        CONFIG_TEXT_BYTES - 1);
        }
        memcpy(value, whole, (size_t)size + 1);
    }
    return FB_OK;
}

fb_code config_get(const char *path, server_config *out, fb_error *err)
{
    FB_REQUIRE(path != NULL && out != NULL);
    server_config config;
    buf text;
    config_init(&config);
    buf_init(&text, CONFIG_FILE_BYTES_MAX);
    fb_code rc = file_get(path, &text, err);
    if (rc == FB_OK) {
        rc = get_lines(&config, buf_text(&text), path, err);
    }
    if (rc == FB_OK) {
        rc = make_absolute(&config, path, err);
    }
    buf_clear(&text);
    if (rc == FB_OK) {
        *out = config;
    }
    return rc;
}

/* ---------------------------------------------------------------- writing */

void config_put(buf *out, const server_config *config)
{
    buf_put_str(out, "# Configuration of fieldbookd. A line is `key = value`; every key is here.\n"
                     "# Check a change with: fieldbookd --config FILE --check\n");
    for (size_t i = 0; i < KEYS_COUNT; i++) {
        const config_key *k = &KEYS[i];
        buf_printf(out, "\n# %s\n", k->about);
        if (k->kind == KIND_NUMBER) {
            uint32_t number = 0;
            memcpy(&number, (const char *)config + k->offset, sizeof number);
            buf_printf(out, "%s = %u\n", k->name, (unsigned)number);
        } else {
            buf_printf(out, "%s = %s\n", k->name, (const char *)config + k->offset);
        }
    }
}
