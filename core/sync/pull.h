/* pull.h - what comes down: judges one answer of the server and gives it to the replica.
 *
 * Unpacks, tells replies from refusals, stages (and by that promotes) in one transaction. Says what
 * it means for the session; changes nothing when the answer is damaged. */
#ifndef FB_SYNC_PULL_H
#define FB_SYNC_PULL_H

#include "replica/replica.h"
#include "sync/session.h"

typedef struct pull_answer {
    int status; /* HTTP */
    bool zstd;
    uint32_t retry_ms; /* of the transport's header, 0 none */
    fb_text body;
    int64_t request_wall_ms; /* device clock when the request was sent */
    uint32_t groups_sent;
} pull_answer;

typedef struct pull_result {
    session_event event; /* EV_MORE, EV_DONE, EV_LATER or EV_REFUSED */
    uint32_t retry_ms;   /* with EV_LATER: what the server asked for */
    bool reborn;         /* a new incarnation was taken */
    bool staged;         /* `stage` is filled */
    /* everything is up and down but what is left out on a thin line (push_plan): EV_MORE for it */
    bool all_but_late;
    stage_result stage;
} pull_result;

/* Take one answer; *out is filled in every case. FB_OK with EV_LATER: temporary trouble of the
 * server. FB_E_AUTH, FB_E_DEVICE, FB_E_VERSION with EV_REFUSED. Other failures with EV_LATER:
 * nothing changed. */
FB_MUST_USE fb_code pull_take(replica *r, const pull_answer *answer, pull_result *out,
                              fb_error *err);
/* What a refusal (any status but 200) means; part of pull_take, and of fetch.c. */
FB_MUST_USE fb_code pull_refusal(replica *r, const pull_answer *answer, pull_result *out,
                                 fb_error *err);

/* The code of an answer that is not 200, and when the server wants to be asked again. A proxy's own
 * page has none: it counts as no connection. FB_E_NO_MEMORY, said in err: what it says is not
 * known, *code_out is left; the server's own want of memory stands in *code_out. */
FB_MUST_USE fb_code pull_refusal_read(const pull_answer *answer, fb_code *code_out,
                                      uint32_t *retry_ms_out, fb_error *err);

#endif
