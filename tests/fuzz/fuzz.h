/* fuzz.h - what every fuzz target brings, and what it gets.
 *
 * A target is one file target_<name>.c, one program fuzz-<name> and one folder corpus/<name>. It
 * takes any bytes, must not crash, and checks with MUST what has to hold for the bytes it accepts.
 * Sources of the product carry libFuzzer's counters, the targets and tests/support do not: the
 * edges that are reported are edges of the product alone.
 *
 *   fuzz-NAME seeds FOLDER   writes the target's seeds, made from schema/vectors and tests/data
 *   fuzz-NAME FILE...        runs the files once: how a failure is replayed
 *   fuzz-NAME FOLDER...      fuzzes (libFuzzer's options) */
#ifndef FB_TESTS_FUZZ_H
#define FB_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

/* --- brought by the target --- */
void fuzz_open(void);      /* once, before the first run */
void fuzz_run(fb_text in); /* one input; data is never NULL */
void fuzz_finish(void);    /* once, after the last run: what must hold then */
void fuzz_seeds(void);     /* calls seed_put */

/* --- given --- */
void seed_put(fb_text seed);
/* Each line of schema/vectors/<file>, or the whole, with `prefix` before it. */
void seed_lines(const char *prefix, const char *file);
void seed_whole(const char *prefix, const char *file);
/* A file below the source folder; the caller clears it. */
buf source_file(const char *path);

_Noreturn void fuzz_failed(const char *what, const char *file, int line);
#define MUST(held) ((held) ? (void)0 : fuzz_failed(#held, __FILE__, __LINE__))
/* A function of the product that has to succeed. */
#define MUST_OK(call) MUST((call) == FB_OK)

/* Takes bytes from the front of an input; zeros when it is used up. */
uint8_t take_byte(fb_text *in);
uint32_t take_number(fb_text *in, unsigned bytes);
fb_text take_bytes(fb_text *in, size_t size);

#endif
