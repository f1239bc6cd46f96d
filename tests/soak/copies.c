/* copies.c - copies that are put back: the server's backups, a phone's folder. See soak.h. */
#include "soak/soak.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* While the server writes. */
bool backup_make(soak *s)
{
    char out[PATH_BYTES + 16];
    int64_t tick = s->book.tick;
    snprintf(out, sizeof out, "%s/backup.out", s->folder);
    const char *const argv[] = {"fieldbook-admin", "--home", s->home, "backup", s->shelf, NULL};
    int code = proc_run(s, argv, out, out);
    if (code == 0) {
        s->backup_tick = tick;
        s->backups++;
        s->fired[FAULT_BACKUP]++;
        return true;
    }
    char *text = file_text(out);
    if (s->server.fault == FAULT_NONE) {
        violation(s, "the backup failed with %d: %.300s", code, text);
    }
    free(text);
    return false;
}

/* A restore takes nothing away (RST-1). Whoever runs the server removes what earlier restores have
 * put aside, before it fills the disk. */
static void replaced_remove(const soak *s)
{
    char pattern[PATH_BYTES + 32];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/master.db.replaced-*", s->home);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            (void)unlink(found.gl_pathv[i]);
        }
        globfree(&found);
    }
}

/* A new epoch: every phone sends again what was not in the backup. */
bool server_restore(soak *s)
{
    char out[PATH_BYTES + 16];
    if (s->backups == 0 || s->server.pid == 0) {
        return false;
    }
    server_end(s);
    replaced_remove(s);
    snprintf(out, sizeof out, "%s/restore.out", s->folder);
    const char *const argv[] = {"fieldbook-admin", "--home",    s->home, "restore",
                                s->shelf,          "--replace", NULL};
    int code = proc_run(s, argv, out, out);
    if (code != 0) {
        char *text = file_text(out);
        violation(s, "the restore failed with %d: %.300s", code, text);
        free(text);
    } else {
        book_server_restored(s);
    }
    server_begin(s);
    return code == 0;
}

static void kill_jobs(soak *s, soak_device *d)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        if (d->jobs[slot].kind != JOB_NONE) {
            d->jobs[slot].killed_by = FAULT_RESTORE_PHONE;
            (void)kill(d->jobs[slot].pid, SIGKILL);
            job_end(s, d, slot);
            s->fired[FAULT_RESTORE_PHONE]--; /* counted when it is put back */
        }
    }
}

/* A whole copy: nothing runs on the phone while it is made. */
bool phone_copy(soak *s, soak_device *d)
{
    kill_jobs(s, d);
    d->copy_tick = s->book.tick;
    d->copied = folder_copy(s, d->folder, d->copy);
    return d->copied;
}

bool phone_put_back(soak *s, soak_device *d)
{
    kill_jobs(s, d);
    if (!d->copied || !folder_copy(s, d->copy, d->folder)) {
        return false;
    }
    book_phone_restored(s, d);
    return true;
}
