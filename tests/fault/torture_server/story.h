/* story.h - every allocation and every file call of the server's work on a request fails, once and
 * for ever.
 *
 *   story.c   devices and a server live a short life, and then those of torture/lives.h; each
 *             request is kept with the server's files as they were before it
 *   main.c    options, the loop over requests and sites, what must hold after each
 *
 * Method. A request is put again to a server that was started on the files before it, with clock
 * and random numbers as they were: that gives the answer and the state it must come to. Then site
 * n = 1, 2, ... fails once, and in another run every one from n on. Then
 *
 *   TSV-1  no crash; the answer is the one it was, or says "later": never that the device is wrong.
 *          Packs that cannot be read just now may be left out of an offer: pages come instead;
 *          a refusal may come without its words
 *   TSV-2  the same request put again is answered as it was, and the database is as it was then:
 *          nothing doubled, nothing half there, nothing lost
 *          A build of row packs that failed is made good by the next one: the packs are those
 *   TSV-3  after the server ended no allocation is left */
#ifndef FB_FAULT_TORTURE_SERVER_H
#define FB_FAULT_TORTURE_SERVER_H

#include "fault/torture/lives.h"

enum { TALKS_MAX = 160 };

typedef struct talk {
    char name[48]; /* "sync 3": --request takes the number */
    char method[8], path[160], authorization[200], content_type[64], content_encoding[16];
    void *body;
    size_t body_size;
    uint64_t random;
    moment before; /* the server's files */
    bool build;    /* no request: row packs are to be made */
    bool of_lives; /* of a life of lives.h */
} talk;

typedef struct story {
    fleet f;
    talk talks[TALKS_MAX];
    int talks_count;
} story;

void story_make(story *s);
void story_free(story *s);
/* The server runs on what it had before this request, and nothing else of the story is open. */
void story_turn_to(story *s, const talk *t);
void story_stop(story *s);
/* Only the start, which may fail. The files are as before the request. */
void story_files(story *s, const talk *t);
fb_code story_start(story *s, fb_error *err);
/* Put the request; the reply is borrowed until the next. */
const server_reply *story_ask(story *s, const talk *t);
/* The packs that are due, to the end: an hour later, so that what failed is tried again. */
void story_build(story *s);
/* Hash of every pack: scope, rows, bytes. */
uint64_t story_packs(void);
/* Hash of every row of every table of the master database, as far as it has a meaning. 0: cannot be
 * read. */
uint64_t story_dump(void);

#endif
