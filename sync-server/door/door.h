/* door.h - who may come in: enrolment with one-time codes, device tokens, device status, rate.
 *
 * A code is 65 random bits as 13 letters, kept as SHA-256, bound to a user, valid a short time and
 * good for one token: the same code with the same token gives the same answer again. A device's
 * token is kept as SHA-256 only. The entity rows `device` and `number_range` are written through
 * the ledger like any other row; fs_device holds what is nobody's business but the server's.
 *
 *   DOR-1  no secret is stored: codes and tokens are hashes, compared in constant time
 *   DOR-2  a code makes at most one device
 *   DOR-3  device codes are unique, also over blocked and wiped devices: numbers never collide
 *
 * Source: protocol.md sections 1 and 2. */
#ifndef FB_DOOR_DOOR_H
#define FB_DOOR_DOOR_H

#include "base/check.h"
#include "base/port.h"
#include "base/sign.h"
#include "sync-server/store/store.h"
#include "wire/enrol_msg.h"

typedef enum door_status { DOOR_ACTIVE = 1, DOOR_BLOCKED = 2, DOOR_WIPED = 3 } door_status;

/* What the server knows of a device besides its entity row. */
typedef struct door_device {
    fb_id device, user;
    door_status status;
    fb_id incarnation;      /* none before the first sync */
    int64_t incarnation_no; /* fs_incarnation.no, 0 none */
    int64_t applied;        /* every group up to here has a verdict */
    digest chain;           /* chain hash of group `applied` */
    int64_t fork_last;      /* groups up to here may have been delivered by an older life */
    int64_t acked, settled; /* as the device said last */
    int64_t backed_up;      /* groups up to here are inside a verified backup */
    int64_t backed_cid;     /* the backup that `backed_up` was computed for */
    int64_t seen_ms;        /* last contact, kept to the minute */
    uint32_t catalog_version;
} door_device;

/* What a sync adds to fs_device; counters are added to what stands. */
typedef struct door_contact {
    int64_t now_ms;
    uint32_t catalog_version;
    fb_id epoch;
    int64_t pushed, refused; /* groups */
} door_contact;

/* E_NOT_FOUND. */
FB_MUST_USE fb_code door_device_get(store *s, const fb_id *device, door_device *out);
/* The few characters by which people know the device. E_NOT_FOUND. */
FB_MUST_USE fb_code door_device_code(store *s, const fb_id *device, arena *memory, fb_text *out);
/* Writer: the numbers of the device's current incarnation, and the contact. */
FB_MUST_USE fb_code door_device_put(store *s, const door_device *d, const door_contact *contact);
/* Was it ever this device's current one? */
FB_MUST_USE fb_code door_incarnation_known(store *s, const fb_id *device, const fb_id *incarnation,
                                           bool *out);
/* Writer: `incarnation` becomes the current one with gseq 0 and chain(0) = SHA-256(incarnation).
 * `last`: the greatest gseq it has written, kept as fork_last: they may be repeats. */
FB_MUST_USE fb_code door_incarnation_begin(store *s, door_device *d, const fb_id *incarnation,
                                           int64_t last, int64_t now_ms);

/* `authorization` is the header's value: "Fieldbook <uuid>:<64 hex>". E_AUTH: form, unknown device
 * or token; E_DEVICE: known, but blocked or wiped. */
FB_MUST_USE fb_code door_check(store *s, fb_text authorization, door_device *out);

/* --- enrolment: writer, inside a transaction -------------------------------------------- */
typedef struct door_enrolment {
    int64_t now_ms;
    const fb_port *port; /* randomness for the new ids */
    fb_id epoch;
    const sign_public *pack_key; /* the server's, told to the device; NULL: none */
} door_enrolment;
/* E_CODE: wrong, used with another token, or expired. Texts of *out live in `memory`. */
FB_MUST_USE fb_code door_enrol(store *s, const door_enrolment *how, const enrol_request *m,
                               arena *memory, enrol_reply *out);

/* --- administration: writer, inside a transaction ---------------------------------------- */
/* Append a fresh one-time code for the user, "7K3QF-9TZA-M2XC". E_NOT_FOUND: no such user. */
FB_MUST_USE fb_code door_code_make(store *s, const fb_id *user, int64_t now_ms, int64_t valid_ms,
                                   const fb_port *port, buf *code_out);
/* The device is answered E_DEVICE from now on. E_NOT_FOUND. */
FB_MUST_USE fb_code door_device_block(store *s, const fb_id *device, int64_t now_ms);
FB_MUST_USE fb_code door_device_wipe(store *s, const fb_id *device, int64_t now_ms);
/* A blocked device may come in again; a wiped one must enrol anew (E_STATE). */
FB_MUST_USE fb_code door_device_allow(store *s, const fb_id *device, int64_t now_ms);
/* The device's rows were not what their digest must be (protocol.md section 6.5). */
FB_MUST_USE fb_code door_device_fault(store *s, const fb_id *device, int64_t now_ms);
FB_MUST_USE fb_code door_device_faults(store *s, int64_t *devices_out, int64_t *faults_out);
/* Codes that expired before `now_ms` are forgotten. */
FB_MUST_USE fb_code door_codes_expire(store *s, int64_t now_ms);

/* Join `module` (catalog_add) to the active catalogue, bring the tables to it and grant its new
 * entities to the roles they name. Begins and commits its own transaction; on failure nothing
 * changed. */
FB_MUST_USE fb_code door_catalog_grow(store *s, fb_text module, const fb_port *port, fb_error *err);
/* The same for what this program's built-in catalogue has and the active one lacks: after an
 * upgrade. E_CATALOG: they do not go together (catalog_release); nothing changed, the active one
 * goes on. */
FB_MUST_USE fb_code door_catalog_renew(store *s, fb_text builtin, const fb_port *port,
                                       bool *changed_out, fb_error *err);

/* --- rate: token buckets in memory, any thread -------------------------------------------- */
typedef struct door_rate door_rate;
typedef struct door_rate_limit {
    uint32_t burst;      /* requests at once, at most 60,000 */
    uint32_t per_second; /* sustained */
} door_rate_limit;
door_rate *door_rate_new(void);
void door_rate_free(door_rate *r);
/* Takes one from the bucket of these bytes. *retry_ms_out: when one will be there again, if false.
 */
bool door_rate_take(door_rate *r, const void *key, size_t size, const door_rate_limit *limit,
                    uint64_t mono_ms, uint32_t *retry_ms_out);

#endif
