/* hosts.c - several hosts in one machine: network namespaces joined by cables (veth). See soak.h.
 *
 *   phone i  10.77.i.2 --- 10.77.i.1  router (the harness, proxy at 10.77.0.1)  10.78.0.1
 * --- 10.78.0.2  server
 *
 * The harness moves into a namespace of its own and is the router; a process that only sleeps
 * holds each host's namespace. All of it is gone when those processes are. */
#include "soak/soak.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *ip_program(void)
{
    static const char *const PLACES[] = {"/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"};
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
        if (access(PLACES[i], X_OK) == 0) {
            return PLACES[i];
        }
    }
    return NULL;
}

/* `ip WORDS` in a host's namespace (0: the router's). */
static bool ip_in(pid_t host, const char *words)
{
    char text[256];
    const char *argv[24] = {ip_program()};
    static const soak none;
    int n = 1;
    snprintf(text, sizeof text, "%s", words);
    char *rest = text;
    for (char *word; n < 23 && (word = strsep(&rest, " ")) != NULL;) {
        argv[n++] = word;
    }
    return proc_wait(proc_start(&none, &(start){.host = host}, argv)) == 0;
}

static bool file_put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

static pid_t holder_start(void)
{
    int ends[2];
    char byte = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        give_up("pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid < 0) {
        give_up("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) == 0 && write(ends[1], "h", 1) == 1) {
            close(ends[1]);
            close(ends[0]);
            for (;;) {
                pause();
            }
        }
        _exit(1);
    }
    close(ends[1]);
    bool good = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    if (!good) {
        (void)proc_wait(pid);
        return 0;
    }
    return pid;
}

bool hosts_prepare(soak *s)
{
    if (geteuid() != 0 || ip_program() == NULL || unshare(CLONE_NEWNET) != 0) {
        return false;
    }
    if (!ip_in(0, "link set lo up") || !ip_in(0, "address add 10.77.0.1/32 dev lo") ||
        !file_put("/proc/sys/net/ipv4/ip_forward", "1")) {
        give_up("the new network namespace cannot be set up: run without it (--no-hosts)");
    }
    s->proxy_address = "10.77.0.1";
    s->server_address = "10.78.0.2";
    return true;
}

/* Number 0: the server's host. */
pid_t host_make(soak *s, int number)
{
    char words[6][128];
    int net = number == 0 ? 78 : 77;
    pid_t host = holder_start();
    (void)s;
    snprintf(words[0], sizeof words[0], "link add v%d type veth peer name eth0 netns %d", number,
             (int)host);
    snprintf(words[1], sizeof words[1], "address add 10.%d.%d.1/24 dev v%d", net, number, number);
    snprintf(words[2], sizeof words[2], "link set v%d up", number);
    snprintf(words[3], sizeof words[3], "address add 10.%d.%d.2/24 dev eth0", net, number);
    snprintf(words[4], sizeof words[4], "route add default via 10.%d.%d.1", net, number);
    if (host == 0 || !ip_in(0, words[0]) || !ip_in(0, words[1]) || !ip_in(0, words[2]) ||
        !ip_in(host, "link set lo up") || !ip_in(host, words[3]) ||
        !ip_in(host, "link set eth0 up") || !ip_in(host, words[4])) {
        give_up("a host's network cannot be set up");
    }
    return host;
}

/* The phone goes on at another address: what it had open is dead and nobody tells it. */
bool host_roam(soak *s, soak_device *d)
{
    char words[3][128];
    int net = d->index + 1, next = d->address_last >= 250 ? 2 : d->address_last + 1;
    (void)s;
    snprintf(words[0], sizeof words[0], "address add 10.77.%d.%d/24 dev eth0", net, next);
    snprintf(words[1], sizeof words[1], "address del 10.77.%d.%d/24 dev eth0", net,
             d->address_last);
    snprintf(words[2], sizeof words[2], "route replace default via 10.77.%d.1", net);
    d->address_last = next;
    return ip_in(d->host, words[1]) && ip_in(d->host, words[0]) && ip_in(d->host, words[2]);
}

bool host_link(soak *s, const soak_device *d, bool up)
{
    char words[64];
    (void)s;
    snprintf(words, sizeof words, "link set v%d %s", d->index + 1, up ? "up" : "down");
    return ip_in(0, words);
}

void hosts_release(pid_t host)
{
    if (host != 0) {
        (void)kill(host, SIGKILL);
        (void)proc_wait(host);
    }
}
