/* code.c - see code.h. */
#include "sync-server/door/code.h"

#include <string.h>

static const char ALPHABET[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static char letter_of(char typed)
{
    char c = typed >= 'a' && typed <= 'z' ? (char)(typed - 'a' + 'A') : typed;
    if (c == 'O') {
        return '0';
    }
    return c == 'I' || c == 'L' ? '1' : c;
}

/* The code's letters alone; false unless there are exactly CODE_LETTERS of the alphabet. */
static bool code_normal(fb_text typed, char out[CODE_LETTERS])
{
    size_t n = 0;
    for (size_t i = 0; i < typed.size; i++) {
        char c = letter_of(typed.data[i]);
        if (c == ' ' || c == '-') {
            continue;
        }
        if (n == CODE_LETTERS || c == '\0' || strchr(ALPHABET, c) == NULL) {
            return false;
        }
        out[n++] = c;
    }
    return n == CODE_LETTERS;
}

bool code_hash(fb_text typed, digest *out)
{
    char letters[CODE_LETTERS];
    if (!code_normal(typed, letters)) {
        return false;
    }
    digest_of(letters, sizeof letters, out);
    bytes_wipe(letters, sizeof letters);
    return true;
}

void code_put(const uint8_t random[CODE_RANDOM_BYTES], buf *out)
{
    for (int i = 0; i < CODE_LETTERS; i++) {
        if (i == 5 || i == 9) {
            buf_put_char(out, '-');
        }
        buf_put_char(out, ALPHABET[random[i] & 31]); /* 5 bits each */
    }
}
