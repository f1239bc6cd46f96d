/* museum.h - what the maker of exhibits and the test of all exhibits share (tests/museum). */
#ifndef FB_TESTS_MUSEUM_H
#define FB_TESTS_MUSEUM_H

#include "support/fleet.h"

/* Everybody synchronises until nothing moves any more: what an exhibit's numbers are asked after.
 */
void museum_finish(fleet *f);
/* "tray" (refused, held and blocked groups), "pending", "drafts", or a SELECT of one number. */
int64_t museum_answer(fleet_device *d, const char *question);

#endif
