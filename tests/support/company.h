/* company.h - a small company for tests: rows put into a server's store through the ledger. */
#ifndef FB_TESTS_COMPANY_H
#define FB_TESTS_COMPANY_H

#include "base/id.h"
#include "sync-server/ledger/ledger.h"
#include "sync-server/store/store.h"

typedef struct company {
    store *db; /* borrowed: a writer connection */
    const fb_port *port;
    id_maker ids;
    uint64_t random; /* seed of the ids */
} company;

void company_init(company *c, store *db, const fb_port *port, uint64_t seed);

/* Add one row: pairs of column and text, ended by NULL. Texts as a person writes them; references
 * by the 36 characters of an id. One commit of its own. Aborts the test on failure. */
fb_id company_add(company *c, const char *entity, const char *const *pairs);
/* Change columns of one row in a commit of its own. */
void company_set(company *c, const char *entity, const fb_id *id, const char *const *pairs);
void company_delete(company *c, const char *entity, const fb_id *id);
/* Id of the row whose business key is this text; aborts when there is none. */
fb_id company_find(company *c, const char *entity, const char *key);

/* Text of an id in one of a few rotating buffers: for use inside one call. */
const char *id_text(const fb_id *id);

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
