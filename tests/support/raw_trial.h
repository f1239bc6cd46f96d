/* raw_trial.h - requests of raw devices, and decisions of the administrator, taken and undone with
 * each site failing (each_site.h): what reaches the disk stands or falls together, and nothing that
 * failed changes what the server says next. */
#ifndef FB_TESTS_RAW_TRIAL_H
#define FB_TESTS_RAW_TRIAL_H

#include "support/raw_device.h"
#include "sync-server/intake/intake.h"

/* For raw_world.trial. */
void raw_trial(raw_device *d, const sync_request *q);
/* A held group is decided, and undone; it must be one that can be. */
void raw_trial_held(raw_world *w, const intake_decision *how);

#endif
