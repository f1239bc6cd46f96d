/* mbed.c - see mbed.h. */
#include "platform/posix/mbed.h"

#include <mbedtls/error.h>
#include <time.h>

#include "base/check.h"
#include "platform/posix/file.h"
#include "platform/posix/port.h"

enum { PEM_FILE_BYTES_MAX = 64 << 10 };

int mbed_random(void *ctx, unsigned char *out, size_t size)
{
    (void)ctx;
    const fb_port *port = fb_port_posix();
    return port->random(port->ctx, out, size) == FB_OK ? 0 : MBEDTLS_ERR_ERROR_GENERIC_ERROR;
}

static fb_code parsed(int rc, const char *path, fb_error *err)
{
    if (rc == 0) {
        return FB_OK;
    }
    char text[120] = "";
    mbedtls_strerror(rc, text, sizeof text);
    return fail(err, FB_E_FORMAT, path, "the file is not a usable PEM file: %s", text);
}

fb_code mbed_load_cert(mbedtls_x509_crt *cert, const char *path, fb_error *err)
{
    buf pem;
    buf_init(&pem, PEM_FILE_BYTES_MAX);
    fb_code rc = file_get(path, &pem, err);
    if (rc == FB_OK) {
        const unsigned char *text = (const unsigned char *)buf_cstr(&pem);
        rc = parsed(mbedtls_x509_crt_parse(cert, text, pem.size + 1), path, err);
    }
    buf_clear(&pem);
    return rc;
}

fb_code mbed_load_key(mbedtls_pk_context *key, const char *path, fb_error *err)
{
    buf pem;
    buf_init(&pem, PEM_FILE_BYTES_MAX);
    fb_code rc = file_require_private(path, err);
    if (rc == FB_OK) {
        rc = file_get(path, &pem, err);
    }
    if (rc == FB_OK) {
        const unsigned char *text = (const unsigned char *)buf_cstr(&pem);
        rc = parsed(mbedtls_pk_parse_key(key, text, pem.size + 1, NULL, 0, mbed_random, NULL), path,
                    err);
    }
    if (pem.data != NULL) {
        bytes_wipe(pem.data, pem.size);
    }
    buf_clear(&pem);
    return rc;
}

fb_code mbed_check_pair(const mbedtls_x509_crt *cert, const mbedtls_pk_context *key,
                        const char *key_path, fb_error *err)
{
    if (mbedtls_pk_check_pair(&cert->pk, key, mbed_random, NULL) != 0) {
        return fail(err, FB_E_CONFIG, key_path,
                    "the key does not belong to the certificate: give the pair that was made "
                    "together");
    }
    return FB_OK;
}

int64_t mbed_time_ms(const mbedtls_x509_time *t)
{
    struct tm utc = {.tm_year = t->year - 1900,
                     .tm_mon = t->mon - 1,
                     .tm_mday = t->day,
                     .tm_hour = t->hour,
                     .tm_min = t->min,
                     .tm_sec = t->sec};
    return (int64_t)timegm(&utc) * 1000;
}
