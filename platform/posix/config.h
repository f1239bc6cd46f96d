/* config.h - fieldbookd's one configuration file: `key = value` lines, `#` comments.
 *
 * config_put writes every key with its meaning and its value, so the file itself is the manual.
 * Paths that do not begin with a slash are below the folder of the file, so that a company's
 * folder can be moved as a whole.
 *
 *   CFG-1  an unknown key, a key given twice or a value out of range is an error that names line
 *          and cure; nothing is guessed */
#ifndef FB_POSIX_CONFIG_H
#define FB_POSIX_CONFIG_H

#include "base/bytes.h"
#include "platform/posix/listen.h"

enum { CONFIG_TEXT_BYTES = 512, CONFIG_FILE_BYTES_MAX = 64 << 10 };

typedef struct server_config {
    char database[CONFIG_TEXT_BYTES];
    char address[CONFIG_TEXT_BYTES];
    uint32_t port;
    char certificate[CONFIG_TEXT_BYTES];
    char key[CONFIG_TEXT_BYTES];
    char log_file[CONFIG_TEXT_BYTES]; /* "": standard error */
    char log_level[CONFIG_TEXT_BYTES];
    uint32_t readers;
    uint32_t cache_kib;
    uint32_t sync_interval_s;
    uint32_t gone_days;
    char packs_file[CONFIG_TEXT_BYTES]; /* "": beside the database */
    uint32_t packs, packs_rows_min, packs_rest_s, packs_age_s;
    uint32_t blob_device_day_mib, blob_total_mib, blob_free_min_mib, blob_unnamed_days;
    listen_limits limits;
} server_config;

void config_init(server_config *out); /* the defaults */

/* FB_E_CONFIG: err->field is the key, or the file for a line that is none, err->message names the
 * line. FB_E_NOT_FOUND, FB_E_IO. */
FB_MUST_USE fb_code config_get(const char *path, server_config *out, fb_error *err);

/* The whole file, for fieldbook-admin init and --print-config. */
void config_put(buf *out, const server_config *config);

#endif
