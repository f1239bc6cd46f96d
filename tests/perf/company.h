/* company.h - the product's server: a company made by fieldbook-admin, filled with the generated
 * master data through the ledger, served by fieldbookd. */
#ifndef FB_BENCH_COMPANY_H
#define FB_BENCH_COMPANY_H

#include "perf/gen.h"

typedef struct company {
    char home[PATH_BYTES], ca[PATH_BYTES], log[PATH_BYTES];
    int port;
    pid_t server; /* 0: not running */
} company;

/* Make the company below `folder`: `users` reps, all of them members of every territory. */
void company_make(company *c, const char *folder, const gen_size *size, uint32_t users);
/* Another copy of a company that is not running, as it stands. Same port. */
void company_copy(const company *from, company *to, const char *folder);
void company_start(company *c);
void company_stop(company *c);
int64_t company_bytes(const company *c); /* of the database */
/* A new device of the rep, enrolled and synchronised; the server must run. */
sample company_enrol(const company *c, uint32_t user, const char *db);
/* The same without the first synchronisation. */
void company_enrol_only(const company *c, uint32_t user, const char *db);

/* The company of W1 to W3, made once: BENCH full/, and its only rep's device with all master data.
 */
void full_company(const bench *b, company *c, char device[PATH_BYTES]);
/* The company of W4 and W5 with its devices, made once: BENCH small/, devices/dNNN.db. */
void small_company(const bench *b, company *c);
void small_device(const bench *b, uint32_t number, char out[PATH_BYTES]);

#endif
