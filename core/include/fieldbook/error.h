/* error.h - what can go wrong, and what to do about it.
 *
 * Every call that can fail returns an fb_code, and takes a last parameter `fb_error *err`
 * (NULL is allowed) that is filled only on failure. Branch on the class, log the name,
 * show the person the text in their language. All codes stand in schema/errors.def. */
#ifndef FIELDBOOK_ERROR_H
#define FIELDBOOK_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FB_MUST_USE __attribute__((warn_unused_result))
#define FB_API __attribute__((visibility("default")))
#else
#define FB_MUST_USE
#define FB_API
#endif

typedef enum fb_code {
    FB_OK = 0,
    FB_E_MISUSE = 1,
    FB_E_NO_MEMORY = 2,
    FB_E_BUG = 3,
    FB_E_OFFLINE = 10,
    FB_E_BUSY = 11,
    FB_E_TIMEOUT = 12,
    FB_E_RATE = 13,
    FB_E_DISK_FULL = 20,
    FB_E_IO = 21,
    FB_E_CORRUPT = 22,
    FB_E_READ_ONLY = 23,
    FB_E_NEWER = 24,
    FB_E_LOCKED = 25,
    FB_E_PROTOCOL = 30,
    FB_E_TRUNCATED = 31,
    FB_E_LIMIT = 32,
    FB_E_JSON = 33,
    FB_E_TLS = 34,
    FB_E_VERSION = 35,
    FB_E_EPOCH = 36,
    FB_E_FORK = 37,
    FB_E_GAP = 38,
    FB_E_NOT_FOUND = 40,
    FB_E_EXISTS = 41,
    FB_E_INVALID = 42,
    FB_E_REQUIRED = 43,
    FB_E_RANGE = 44,
    FB_E_ENUM = 45,
    FB_E_REFERENCE = 46,
    FB_E_STATE = 47,
    FB_E_PRICE = 48,
    FB_E_DISCOUNT = 49,
    FB_E_TOTALS = 50,
    FB_E_QUANTITY = 51,
    FB_E_PRODUCT = 52,
    FB_E_CREDIT = 53,
    FB_E_DUPLICATE = 54,
    FB_E_BLOCKED = 55,
    FB_E_LENGTH = 56,
    FB_E_FORMAT = 57,
    FB_E_VISIT_OPEN = 58,
    FB_E_OVERPAID = 59,
    FB_E_FUTURE = 60,
    FB_E_GUARDED = 61,
    FB_E_POISON = 62,
    FB_E_ERASED = 63,
    FB_E_AUTH = 70,
    FB_E_FORBIDDEN = 71,
    FB_E_SCOPE = 72,
    FB_E_CODE = 73,
    FB_E_DEVICE = 74,
    FB_E_CATALOG = 80,
    FB_E_CONFIG = 81,
    FB_E_METHOD = 82,
    FB_E_PATH = 83,
    FB_E_MEDIA = 84
} fb_code;

typedef enum fb_class {
    FB_CLASS_NONE = 0,    /* not a failure */
    FB_CLASS_RETRY = 1,   /* the same call may succeed later */
    FB_CLASS_STORAGE = 2, /* the disk or the file */
    FB_CLASS_PEER = 3,    /* the other side sent something wrong */
    FB_CLASS_CALLER = 4,  /* the program's fault */
    FB_CLASS_USER = 5,    /* input that a person can correct */
    FB_CLASS_AUTH = 6,    /* not, or no longer, allowed */
    FB_CLASS_BUG = 7      /* our own model is broken */
} fb_class;

/* One failure, on the caller's stack: nothing to free, no thread-local state. */
typedef struct fb_error {
    fb_code code;
    char field[96];    /* path of the value at fault, e.g. "sales_order_line[2].discount_bp"; "" if
                          none */
    char message[256]; /* one line in English: what is wrong and the cure; holds no customer data */
} fb_error;

/* "E_OFFLINE"; never NULL, "E_UNKNOWN" for a number that is none of ours. */
FB_API const char *fb_code_name(fb_code code);
FB_API fb_class fb_code_class(fb_code code);
/* HTTP status the server answers with. */
FB_API int fb_code_http(fb_code code);
/* Plain text for people; lang is "zh" or anything else for English. Never NULL. */
FB_API const char *fb_code_text(fb_code code, const char *lang);
/* When the library finds its own model broken (a promise in its source does not hold) it ends the
 * process with abort(), before anything can be written on top of the error: whatever was committed
 * stays on the disk, an open group is lost, the file stays sound. `hook` is called before that,
 * once, on the thread at fault, so that an app can leave a trace: copy the texts (a condition of
 * the source, a file name, a line; never customer data) to a log or crash reporter, and return. It
 * must not call this library and must not jump out. NULL, the state at the start, takes it away.
 * Process-wide; set it once, before the first fb_db_open; any thread. */
typedef void (*fb_bug_hook)(const char *promise, const char *file, int line);
FB_API void fb_bug_hook_set(fb_bug_hook hook);
/* The code of a name such as "E_OFFLINE"; FB_E_BUG for an unknown name. */
FB_API fb_code fb_code_from_name(const char *name, size_t size_bytes);

#ifdef __cplusplus
}
#endif
#endif
