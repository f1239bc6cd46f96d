/* disk.c - disks of their own for server and phones, that fill and are freed. See soak.h.
 *
 * Each is a tmpfs in a mount namespace of the harness, so that nothing of it is left. It fills by
 * shrinking to what is in use: from then on every page or name that is new meets ENOSPC, at once
 * and for as long as is wanted, whoever writes. */
#include "soak/soak.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool disk_prepare(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool disk_mount(const char *folder, const char *limit)
{
    return mount("soak", folder, "tmpfs", MS_NOSUID | MS_NODEV, limit) == 0;
}

/* Writers may take a page between the look and the order, which then is refused: look again. */
bool disk_fill(const char *folder, bool inodes)
{
    for (int i = 0; i < 50; i++) {
        struct statvfs st;
        char limit[64];
        if (statvfs(folder, &st) != 0) {
            return false;
        }
        if (inodes) {
            snprintf(limit, sizeof limit, "nr_inodes=%lu",
                     (unsigned long)(st.f_files - st.f_ffree));
        } else {
            snprintf(limit, sizeof limit, "size=%lu",
                     (unsigned long)((st.f_blocks - st.f_bfree) * st.f_frsize));
        }
        if (mount("soak", folder, "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, limit) == 0) {
            return true;
        }
    }
    return false;
}

void disk_free(const char *folder, const char *limit)
{
    if (mount("soak", folder, "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, limit) != 0) {
        give_up("cannot free %s: %s", folder, strerror(errno));
    }
}

void folder_make(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        give_up("cannot make the folder %s: %s", path, strerror(errno));
    }
}

void folder_remove(const char *path)
{
    const char *const argv[] = {"/bin/rm", "-rf", "--one-file-system", path, NULL};
    static const soak none;
    (void)proc_run(&none, argv, NULL, NULL);
}

/* What is in `from` becomes all that is in `to`; the folder itself stays (it may be a disk). */
bool folder_copy(const soak *s, const char *from, const char *to)
{
    char inside[PATH_BYTES + 8];
    folder_make(to);
    const char *const clear[] = {"/usr/bin/find", to, "-mindepth", "1", "-delete", NULL};
    snprintf(inside, sizeof inside, "%s/.", from);
    const char *const copy[] = {"/bin/cp", "-a", inside, to, NULL};
    return proc_run(s, clear, NULL, NULL) == 0 && proc_run(s, copy, NULL, NULL) == 0;
}

void leave_disks(soak *s)
{
    for (int i = -1; s->tmpfs && i < s->devices_count; i++) {
        (void)umount2(i < 0 ? s->home : s->devices[i].folder, MNT_DETACH);
    }
}
