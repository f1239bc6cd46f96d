/* ca.h - a company's own certificate authority: made once, then it signs server certificates.
 *
 * Devices get the authority's certificate at enrolment and trust nothing else, so the
 * certificate is the pin. All keys are ECDSA P-256 and lie in files of mode 0600.
 *
 *   CA-1  nothing existing is overwritten by ca_create; ca_issue replaces both files of a
 *         certificate, key first, each as a whole
 *   CA-2  a server certificate lives at most CA_LEAF_DAYS_MAX days and not longer than its CA */
#ifndef FB_POSIX_CA_H
#define FB_POSIX_CA_H

#include "fieldbook/error.h"
#include "fieldbook/types.h"

enum { CA_DAYS = 3650, CA_LEAF_DAYS_MAX = 398, CA_NAMES_MAX = 16 };

/* Make an authority named after the company, valid from now for CA_DAYS.
 * FB_E_EXISTS when one of the files stands already: nothing changed. */
FB_MUST_USE fb_code ca_create(const char *cert_path, const char *key_path, const char *company,
                              fb_error *err);

typedef struct ca_leaf {
    const char *const *names; /* DNS names and IP addresses, as people write them; at least one */
    uint32_t names_count;     /* at most CA_NAMES_MAX */
    uint32_t days;            /* 1..CA_LEAF_DAYS_MAX */
    int64_t not_before_ms;    /* UTC; 0: an hour ago, for clocks that are behind */
    const char *cert_path, *key_path;
} ca_leaf;

/* Sign a new server key for the names. FB_E_RANGE, FB_E_FORMAT: err->field says which value. */
FB_MUST_USE fb_code ca_issue(const char *ca_cert_path, const char *ca_key_path, const ca_leaf *leaf,
                             fb_error *err);

enum { CA_NAME_BYTES = 256 };

typedef struct ca_info {
    char names[CA_NAMES_MAX][CA_NAME_BYTES]; /* as ca_leaf.names: can be issued again */
    uint32_t names_count;
    int64_t not_before_ms, not_after_ms; /* UTC */
} ca_info;

/* What stands in a server certificate. FB_E_NOT_FOUND, FB_E_IO, FB_E_FORMAT; FB_E_LIMIT: more than
 * CA_NAMES_MAX names. *out untouched on failure. */
FB_MUST_USE fb_code ca_read(const char *cert_path, ca_info *out, fb_error *err);

#endif
