/* target_cert.c - certificates and keys from files, and the look at a client's hello.
 *
 * First byte: 'c' 'k' the server's certificate or key is the rest; 'a' the authority's certificate
 * that signs a new one; 'p' bytes of the server's certificate change at given places; 'h' the rest
 * is what a client sent, where a verdict once given for some bytes stays for more of them. */
#include "fuzz.h"

#include <unistd.h>

#include "platform/posix/ca.h"
#include "platform/posix/file.h"
#include "platform/posix/tls.h"

static char folder[] = "/tmp/fb-fuzz-XXXXXX";
static char paths[6][64]; /* of the names below */
enum { CA_CERT, CA_KEY, CERT, KEY, OTHER, OTHER_KEY };
static const char *const NAMES[] = {"ca.pem", "ca.key", "s.pem", "s.key", "o.pem", "o.key"};
static buf certificate;

static fb_code issue(const char *authority, const char *cert, const char *key, fb_error *err)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    ca_leaf leaf = {
        .names = names, .names_count = 2, .days = 30, .cert_path = cert, .key_path = key};
    return ca_issue(authority, paths[CA_KEY], &leaf, err);
}

void fuzz_open(void)
{
    MUST(mkdtemp(folder) != NULL);
    for (int i = 0; i < 6; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, NAMES[i]);
    }
    MUST_OK(ca_create(paths[CA_CERT], paths[CA_KEY], "Acme", NULL));
    MUST_OK(issue(paths[CA_CERT], paths[CERT], paths[KEY], NULL));
    buf_init(&certificate, 64 << 10);
    MUST_OK(file_get(paths[CERT], &certificate, NULL));
}

void fuzz_finish(void)
{
    buf_clear(&certificate);
    for (int i = 0; i < 6; i++) {
        (void)unlink(paths[i]);
    }
    (void)rmdir(folder);
}

static void write_other(int which, fb_text content)
{
    (void)unlink(paths[which]);
    MUST_OK(file_create(paths[which], content, true, NULL));
}

static void serve(const char *cert, const char *key)
{
    tls_server *s = NULL;
    fb_error err = {.code = FB_OK};
    fb_code rc = tls_server_new(cert, key, &s, &err);
    MUST(rc != FB_E_BUG && rc != FB_E_MISUSE);
    MUST((rc == FB_OK) == (s != NULL));
    MUST(rc == FB_OK || (err.field[0] != '\0' && err.message[0] != '\0'));
    if (rc == FB_OK) {
        (void)tls_server_expires_ms(s);
    }
    tls_server_free(s);
}

static void sign(fb_text in)
{
    fb_error err = {.code = FB_OK};
    write_other(OTHER, in);
    fb_code rc = issue(paths[OTHER], paths[OTHER], paths[OTHER_KEY], &err);
    MUST(rc != FB_E_BUG && rc != FB_E_MISUSE);
    MUST(rc == FB_OK || err.message[0] != '\0');
}

static void patched(fb_text in)
{
    buf copy;
    buf_init(&copy, 64 << 10);
    buf_put_text(&copy, buf_text(&certificate));
    while (in.size >= 3) {
        size_t at = take_number(&in, 2) % copy.size;
        copy.data[at] = (char)take_byte(&in);
    }
    write_other(OTHER, buf_text(&copy));
    serve(paths[OTHER], paths[KEY]);
    buf_clear(&copy);
}

static void hello(fb_text in)
{
    tls_hello before = HELLO_MORE;
    for (size_t size = 0; size <= in.size; size++) {
        /* In memory of its own, so that a byte too far is seen. */
        uint8_t *copy = malloc(size + 1 - (size > 0));
        MUST(copy != NULL);
        memcpy(copy, in.data, size);
        tls_hello now = tls_hello_check(copy, size);
        MUST(before == HELLO_MORE || now == before);
        before = now;
        free(copy);
    }
}

void fuzz_run(fb_text in)
{
    switch (take_byte(&in)) {
    case 'c':
        write_other(OTHER, in);
        serve(paths[OTHER], paths[KEY]);
        return;
    case 'k':
        write_other(OTHER, in);
        serve(paths[CERT], paths[OTHER]);
        return;
    case 'a':
        sign(in);
        return;
    case 'p':
        patched(in);
        return;
    default:
        hello(in);
        return;
    }
}

static void seed_file(const char *prefix, int which)
{
    buf content;
    buf_init(&content, 64 << 10);
    buf_put_str(&content, prefix);
    MUST_OK(file_get(paths[which], &content, NULL));
    seed_put(buf_text(&content));
    buf_clear(&content);
}

void fuzz_seeds(void)
{
    /* clang-format off */
    static const char HELLO[] = "h"
        "\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03" "0123456789abcdef0123456789abcdef" "\x00"
        "\x00\x04\x13\x01\xc0\x2b\x01\x00\x00\x0f" "\x00\x17\x00\x00" "\x00\x2b\x00\x03\x02\x03\x04"
        "\x00\x10\x00\x00";
    /* clang-format on */
    seed_file("c", CERT);
    seed_file("c", CA_CERT);
    seed_file("k", KEY);
    seed_file("k", CA_KEY);
    seed_file("a", CA_CERT);
    seed_put(text_of("p\x01\x20Z\x01\x41"
                     "A"));
    seed_put((fb_text){HELLO, sizeof HELLO - 1});
}
