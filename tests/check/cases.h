/* cases.h - the self-test of the judge. See cases.c for the form of a case file. */
#ifndef CHECK_CASES_H
#define CHECK_CASES_H

#include "check.h"

typedef struct cases {
    void *blocks;
    bool without[CHECKS], silent;
    bool some; /* only the cases that break `only` */
    invariant only;
    const char *print; /* write out the lines of this case */
    int broken, clean, wrong;
    int per_invariant[INVARIANTS];
} cases;

/* Blocks of a file stay known to the files after it. false: the file is no case file. */
bool cases_file(cases *c, const char *path);
void cases_free(cases *c);

#endif
