/* target_config.c - fieldbookd's configuration file: what is accepted is written by config_put and
 * read as the same configuration (CFG-1). */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "platform/posix/config.h"

static int file = -1;
static char path[64];

void fuzz_open(void)
{
    file = memfd_create("config", 0);
    MUST(file >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
}

void fuzz_finish(void)
{
    (void)close(file);
}

static fb_code get(fb_text text, server_config *out, fb_error *err)
{
    MUST(ftruncate(file, 0) == 0);
    MUST(pwrite(file, text.data, text.size, 0) == (ssize_t)text.size);
    return config_get(path, out, err);
}

void fuzz_run(fb_text in)
{
    server_config config, again;
    fb_error err = {.code = FB_OK};
    fb_code rc = get(in, &config, &err);
    MUST(rc == FB_OK || rc == FB_E_CONFIG || rc == FB_E_LIMIT);
    MUST(rc == FB_OK || (err.field[0] != '\0' && err.message[0] != '\0'));
    if (rc == FB_OK) {
        buf out;
        buf_init(&out, CONFIG_FILE_BYTES_MAX);
        config_put(&out, &config);
        MUST_OK(out.code);
        MUST_OK(get(buf_text(&out), &again, &err));
        MUST(memcmp(&config, &again, sizeof config) == 0);
        buf_clear(&out);
    }
}

void fuzz_seeds(void)
{
    server_config defaults;
    buf out;
    config_init(&defaults);
    buf_init(&out, CONFIG_FILE_BYTES_MAX);
    config_put(&out, &defaults);
    seed_put(buf_text(&out));
    buf_clear(&out);
    seed_put(text_of("database = /srv/acme/master.db\nlog_level=debug\r\n\n# x\nport = 0\n"));
    seed_put(text_of("readers=17\n"));
    seed_put(text_of("address = ::\naddress = ::1\n"));
    seed_put(text_of("no key\n"));
}
