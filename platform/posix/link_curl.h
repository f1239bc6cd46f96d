/* link_curl.h - the fb_link of desktop programs and tests: HTTPS through libcurl.
 *
 * One easy handle lives as long as the link, so that connections, TLS sessions and keep-alive are
 * used again. Bodies are handed up as they came; unpacking, with its limits, is core's.
 *
 *   LNK-1  https only, to the given host only: no redirect, no proxy of the environment, no cookie
 *   LNK-2  the given CA file is the only trust: the machine's own authorities are switched off
 *   LNK-3  a response never takes more than response_bytes_max bytes of memory
 *   LNK-4  a stalled transfer ends after LINK_STALL_MS, but the wait for the first byte of the
 *          response (a long poll) only after the request's timeout_ms */
#ifndef FB_POSIX_LINK_CURL_H
#define FB_POSIX_LINK_CURL_H

#include "fieldbook/sync.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LINK_CONNECT_MS = 10000, LINK_STALL_MS = 30000 };

/* base_url: "https://host" or "https://host:port". ca_file: PEM with the company's authority.
 * *out ends with fb_link_curl_free; one thread at a time.
 * FB_E_FORMAT, FB_E_NOT_FOUND, FB_E_NO_MEMORY; nothing is sent yet. */
FB_MUST_USE fb_code fb_link_curl_new(const char *base_url, const char *ca_file, fb_link **out,
                                     fb_error *err);
void fb_link_curl_free(fb_link *link);

/* Send through this HTTP proxy ("http://host:port") from now on; NULL: directly again. */
FB_MUST_USE fb_code fb_link_curl_set_proxy(fb_link *link, const char *proxy_url);

/* Why the last exchange failed and what to do, one line; "" after a success. Borrowed until the
 * next exchange. Holds no secret. */
const char *fb_link_curl_get_message(const fb_link *link);

/* Connections opened by the last exchange: 0 when a kept one was used again. */
uint32_t fb_link_curl_get_connects(const fb_link *link);

#ifdef __cplusplus
}
#endif
#endif
