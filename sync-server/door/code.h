/* code.h - one-time codes as people type them; nobody outside this room includes it.
 *
 * 13 characters of a 32-letter alphabet without I, L, O, U: 65 bits, shown as XXXXX-XXXX-XXXX. */
#ifndef FB_DOOR_CODE_H
#define FB_DOOR_CODE_H

#include "base/digest.h"

enum { CODE_LETTERS = 13, CODE_RANDOM_BYTES = 13 };

/* Hash of a typed code: blanks and dashes dropped, case folded, O read as 0, I and L as 1. False
 * when it is no code. */
bool code_hash(fb_text typed, digest *out);
/* Append the code that these random bytes make. */
void code_put(const uint8_t random[CODE_RANDOM_BYTES], buf *out);

#endif
