/* verdict_msg.h - reading of the verdict line, for reply_item_get; the rest is in sync_msg.h. */
#ifndef FB_WIRE_VERDICT_MSG_H
#define FB_WIRE_VERDICT_MSG_H

#include "wire/sync_msg.h"

/* Takes the members behind "m" and the end of the object; lists live in the reader's scratch. */
void verdict_members_get(json_reader *r, verdict_msg *out);

#endif
