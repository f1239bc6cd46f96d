/* salvage.h - what the two halves of a salvage share: salvage.c takes what is left out of the old
 * files and puts it into one new segment, salvage_build.c makes a database of that segment.
 *
 *   damaged, lost or older database + second copy
 *      | salvage.c    sound groups of the database that the second copy lacks, drafts, numbers
 *      v              evidence aside, new segment with a salvage record, old database deleted
 *   segment alone                                    from here on only this is asked (SLV-1)
 *      | salvage_build.c   an empty database, everything of the segment, a new incarnation
 *      v                   one transaction that names the salvage record
 *   database + segment -> an ordinary segment
 *
 *   SLV-1  a crash anywhere is followed by the same salvage: before the segment is current the old
 *          files are all there, after it the database without its name counts for nothing
 *   SLV-2  a group of the database is taken only if the chain proves its bytes
 *   SLV-3  nothing of another file is taken: work of another person is never sent as this one's
 *   SLV-4  the damaged files are kept beside the database, the newest EVIDENCE_KEPT of them;
 * another device's under a name of their own, because nobody here can tell what of it was sent
 *   SLV-5  a disk that does not answer says nothing of the file: the call fails, everything stays
 *          as it was, and the next one tries again. What could not be read since UNREAD_OPENINGS
 *          openings, by them or in use, is damage: one bad sector neither keeps the app out for
 *          ever nor ends every sync
 *   SLV-6  what must leave the files (PUR-1, FGT-2) leaves those set aside too, as soon as the
 * server has in a backup everything that was saved before they were set aside */
#ifndef FB_REPLICA_SALVAGE_H
#define FB_REPLICA_SALVAGE_H

#include "replica/room.h"

enum { EVIDENCE_KEPT = 2, EXTRAS_BYTES_MAX = 512 << 20, UNREAD_OPENINGS = 4 };

/* Something that the second copy lacks. */
typedef struct extra {
    struct extra *next;
    journal_type type;
    int64_t gseq;
    fb_text payload;
} extra;

typedef struct extras {
    arena *memory;
    extra *first, **end;
    buf marks; /* uint64_t of every line that the second copy has */
    buf line, packed;
    bool identity;   /* an identity of the same file was read */
    fb_code trouble; /* of the machine, while reading: something may be left out that is sound */
    fb_id file_id;
} extras;

FB_MUST_USE fb_code extras_init(extras *x);
void extras_clear(extras *x); /* safe after a failed init */
/* salvage_read.c: whatever of the damaged database is sound. *seen: what the second copy has, or
 * nothing. Never fails for damage, nor for what is in x->trouble: both are read around. */
FB_MUST_USE fb_code extras_read(const replica_options *o, const second_seen *seen, extras *x);
/* The line of a group is known already. */
FB_MUST_USE fb_code extras_mark(extras *x, fb_text stored);

/* SLV-6, after a purge. False: a file could not be deleted, try again. */
bool salvage_forget(replica *r);

/* salvage_build.c: open a new database at the path and fill it from the current segment. */
FB_MUST_USE fb_code salvage_build(const replica_options *o, journal *j, replica **out,
                                  fb_error *err);

#endif
