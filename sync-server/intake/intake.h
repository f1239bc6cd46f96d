/* intake.h - groups arrive: exactly once, in order, each with one durable verdict.
 *
 * The order of checks is that of protocol.md section 3. Runs inside the writer's transaction; a
 * batch holds many devices' requests. The good path has no savepoint and writes nothing per group
 * but the commit: runs of plain groups share one fs_verdict row, the device is written once per
 * request.
 *
 *   ITK-1  a group's verdict, its effect and device.applied stand or fall together (one
 *          transaction)
 *   ITK-2  a verdict once given is given again, byte for byte
 *   ITK-3  no group stops the groups behind it: unreadable ones are rejected, poisonous ones held
 *   ITK-4  nothing is written of a group for which memory did not suffice, not even in a text
 *   ITK-5  after a restore devices come in any order. A group whose row another one has to send
 *          again is not judged before that one had an hour: it stays with its device, and what is
 *          behind it too. Then it is judged as what it is.
 *
 * When a group cannot be written (its insert meets an id that exists, or trouble that is not the
 * disk's) the caller rolls the whole batch back, which is rare, and runs it again: with ids
 * checked, or without that device. See attempt.h for groups that fail or crash again and again.
 *
 * fs_verdict.marks: a 64-bit hash of each group line. It tells a repeated group of a request that
 * does not reach `applied` (no chain hash stands for it there), and after a fork a group that an
 * older incarnation delivered (fork.c). It guards against mistakes of one device with itself,
 * nothing more. */
#ifndef FB_INTAKE_INTAKE_H
#define FB_INTAKE_INTAKE_H

#include "sync-server/decide/decide.h"
#include "sync-server/door/door.h"

enum { INTAKE_GROUPS_MAX = 1000 }; /* of one device in one batch: fairness */

/* The writer's tools, for the life of the server. */
typedef struct intake {
    store *db;
    decide_cache *cache;
    arena *work;          /* one group at a time */
    const fb_port *trace; /* NULL unless every group is traced */
    bool careful;       /* the last run did not end well: mark devices before a batch (attempt.h) */
    bool attempts;      /* fs_attempt may hold rows */
    bool one_group;     /* careful: the batch is one device that may have crashed the server */
    int64_t backed_cid; /* every commit up to here is inside a verified backup */
} intake;

/* One request. */
typedef struct intake_request {
    const sync_request *q;
    const fb_text *lines; /* q->groups_count group lines, without "\n" */
    fb_id device;
    int64_t now_ms;
    bool groups_ignored; /* the epoch differs: nothing is taken, the device learns where the server
                            stands */
} intake_request;

typedef struct intake_result {
    fb_code answer; /* FB_OK, or E_FORK, E_GAP, E_PROTOCOL, E_DEVICE: nothing was written for this
                       request */
    int64_t failed_gseq; /* with a failure of intake_sync: the group at fault, 0 when none is */
    int64_t poison_gseq; /* last group held as E_POISON, 0: none; IT is told once it is written */
    uint32_t pushed, refused;
} intake_result;

/* A failure means: roll the transaction back. */
FB_MUST_USE fb_code intake_sync(intake *in, const intake_request *r, intake_result *out);

/* The device's verdict lines for gseq in (acked, applied], as they were or would be sent; and
 * verdicts that were decided later, which the position in `token` says the device has not got. */
FB_MUST_USE fb_code intake_verdicts_put(store *view, const door_device *d, int64_t acked,
                                        fb_text token, buf *out);

/* A person decides a held group: accepted, its rules about credit, scope and duplicates are waived;
 * refused, it is rejected with `reason`. Writer, inside a transaction begun with
 * decide_cache_begin. The device gets the new verdict with its next contact, if it still is in the
 * life in which it sent the group; in a later one its author reads the group's row (held_group).
 * E_NOT_FOUND, E_STATE (not held, or decided), E_FORMAT (the reason is not UTF-8). */
typedef struct intake_decision {
    fb_id device;
    int64_t incarnation_no; /* the life in which it was sent; 0: the device's current one */
    int64_t gseq, now_ms;
    bool accept;
    fb_text reason; /* for the person, where refused */
} intake_decision;
FB_MUST_USE fb_code intake_held_decide(intake *in, const intake_decision *how);

#endif
