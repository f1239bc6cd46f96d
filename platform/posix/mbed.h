/* mbed.h - what ca.c and tls.c share of mbedTLS: version floor, randomness, PEM files, times.
 *
 * Included by every file of this room that uses mbedtls/. */
#ifndef FB_POSIX_MBED_H
#define FB_POSIX_MBED_H

#include <mbedtls/build_info.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "fieldbook/error.h"

#if MBEDTLS_VERSION_NUMBER < 0x03060600
#error \
    "mbedTLS 3.6.6 or later is needed: earlier ones let a client resume as another (CVE-2026-34873)"
#endif

/* mbedTLS f_rng: the kernel's randomness. Any thread. */
int mbed_random(void *ctx, unsigned char *out, size_t size);

/* Both add to an initialised object. err->field is the path.
 * FB_E_NOT_FOUND, FB_E_IO, FB_E_FORMAT; FB_E_CONFIG when others may read the key. */
FB_MUST_USE fb_code mbed_load_cert(mbedtls_x509_crt *cert, const char *path, fb_error *err);
FB_MUST_USE fb_code mbed_load_key(mbedtls_pk_context *key, const char *path, fb_error *err);

/* FB_E_CONFIG when they do not belong together; err->field is key_path. */
FB_MUST_USE fb_code mbed_check_pair(const mbedtls_x509_crt *cert, const mbedtls_pk_context *key,
                                    const char *key_path, fb_error *err);

/* UTC milliseconds. */
int64_t mbed_time_ms(const mbedtls_x509_time *t);

#endif
