/* main.c - fb-cut: options and the summary line. See cut.h. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "fault/cut/cut.h"

enum { SHOWN_MAX = 20 };

void cut_bad(cut_counters *n, const char *message, const char *direction, uint64_t byte,
             const char *why)
{
    if (n->bad++ < SHOWN_MAX) {
        fprintf(stderr, "bad: %s %s byte=%llu: %s\n", message, direction, (unsigned long long)byte,
                why);
    }
}

static int usage(void)
{
    fputs("fb-cut: every message is cut after every byte, and its effects must still come exactly "
          "once\n"
          "  --every N      bodies between device and server: every N-th byte (default 1: all)\n"
          "  --tls-every N  the encrypted stream: every N-th byte (default 7)\n"
          "  --seed S       where counting by N begins in the encrypted stream (default 0)\n"
          "  --no-tls       without the real listener\n"
          "  --quick        every 23rd and every 97th byte, for every test run\n",
          stdout);
    return 0;
}

static bool options_take(cut_options *o, bool *tls, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int64_t v = 0;
        bool number = i + 1 < argc && i64_get(text_of(argv[i + 1]), &v) && v >= 0;
        if (strcmp(argv[i], "--quick") == 0) {
            o->every = 23;
            o->tls_every = 97;
            o->ask_every = 8;
        } else if (strcmp(argv[i], "--no-tls") == 0) {
            *tls = false;
        } else if (strcmp(argv[i], "--every") == 0 && number && v > 0) {
            o->every = (uint64_t)v;
            i++;
        } else if (strcmp(argv[i], "--tls-every") == 0 && number && v > 0) {
            o->tls_every = (uint64_t)v;
            i++;
        } else if (strcmp(argv[i], "--seed") == 0 && number) {
            o->seed = (uint64_t)v;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    cut_options o = {.every = 1, .tls_every = 7, .ask_every = 1};
    cut_counters n = {0};
    bool tls = true;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage();
    }
    if (!options_take(&o, &tls, argc, argv)) {
        fputs("fb-cut: unknown option or bad number: see --help\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    inner_cuts(&o, &n);
    lane_cuts(&o, &n);
    pack_cuts(&o, &n);
    fprintf(stderr, "cut: bodies done, cuts=%llu bad=%llu\n",
            (unsigned long long)(n.plain + n.packed), (unsigned long long)n.bad);
    if (tls) {
        tls_cuts(&o, &n);
    }
    printf("cut %s: cuts=%llu messages=%llu plain=%llu zstd=%llu every=%llu tls=%llu "
           "tls_every=%llu bad=%llu\n",
           n.bad == 0 ? "ok" : "failed", (unsigned long long)(n.plain + n.packed + n.tls),
           (unsigned long long)n.messages, (unsigned long long)n.plain,
           (unsigned long long)n.packed, (unsigned long long)o.every, (unsigned long long)n.tls,
           (unsigned long long)(tls ? o.tls_every : 0), (unsigned long long)n.bad);
    return n.bad == 0 ? 0 : 1;
}
