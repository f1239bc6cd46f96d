/* museum.c - see museum.h. */
#include "support/museum.h"

#include <string.h>

enum { ROUNDS = 2 }; /* the second brings each what the later ones of the first round sent */

void museum_finish(fleet *f)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < f->devices_count; i++) {
            fleet_sync(&f->devices[i]);
        }
    }
}

int64_t museum_answer(fleet_device *d, const char *question)
{
    fb_error err = {0};
    fb_status s = FB_STATUS_INIT;
    fleet_must(fb_status_get(d->db, &s, &err), &err, "status");
    if (strcmp(question, "tray") == 0) {
        return s.rejected_count + s.held_count + s.blocked_count;
    }
    if (strcmp(question, "pending") == 0) {
        return s.pending_count;
    }
    return strcmp(question, "drafts") == 0 ? s.drafts_count : fleet_number(d, question);
}
