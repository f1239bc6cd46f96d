/* torture.h - every allocation and every file call of every public function fails, once and for
 * ever.
 *
 *   main.c      options, the loop over sites, what must hold after each, the summary line
 *   heap.c      malloc and its family, which count, and fail when they are told to
 *   calls.c     the same for SQLite's calls and for arenas; which sites suffice (--calls)
 *   stage.c     a replica with something of everything, put back before each attempt
 *   scenes.c    one scene for each function of core/include/fieldbook
 *   scenes_lane.c  those of attachments, of the outbox, and a replica that must be made again
 *   lives.c     longer lives of a device and its server, kept at the moments that matter (moment.c)
 *   scenes_file.c  scenes of damaged, older and lost files
 *   scenes_life.c  scenes that begin at such a moment: the server answers as it did there
 *
 * Method. A scene runs once undisturbed: its number of allocations (file calls) is the number of
 * sites. Then, for n = 1, 2, ..., site n fails once, and in another run every one from n on. Then
 *
 *   TOR-1  no crash, and success or an error that says what happened
 *   TOR-2  a scene that failed left the replica as it was or as if it had succeeded
 *   TOR-3  the same scene then succeeds on the same handle, and fb_db_check passes
 *   TOR-4  after closing everything no allocation is left
 *   TOR-5  on a full disk the error is E_DISK_FULL and names the cure
 *   TOR-6  and in the end, by whatever way, a person sees the same rows, and as much is waiting */
#ifndef FB_FAULT_TORTURE_H
#define FB_FAULT_TORTURE_H

#include "fault/torture/heap.h"
#include "fault/torture/lives.h"

#define STAGE_VFS "fleetfs" /* the one fleet.h works with */

/* --- stage ---------------------------------------------------------------------------------- */
enum { STAGE_FILES_MAX = 8, STAGE_TALKS_MAX = 80, STAGE_LINE_BYTES_MAX = 4096 };

typedef struct stage_file {
    char name[64];
    void *data;
    size_t size;
} stage_file;

/* A request the real server once answered, and its answer. */
enum { TALK_OWNED_MAX = 4 };
typedef struct stage_talk {
    fb_link_request request;
    fb_link_response response;
    char *owned[TALK_OWNED_MAX]; /* the bytes of both */
    int owned_count;
} stage_talk;

typedef struct stage {
    fleet f;
    fb_db *db;
    fb_port port;
    uint64_t random, waited_ms; /* waited_ms: added to the clock that only counts */
    uint32_t exports;
    stage_file files[2][STAGE_FILES_MAX]; /* enrolled replica; replica before its enrolment */
    int files_count[2];
    stage_talk talks[2][STAGE_TALKS_MAX]; /* of the stage's own moment; of the scene's */
    int talks_count[2];
    bool recording;
    int asked[STAGE_TALKS_MAX]; /* of the scene's, in this attempt, as long as memory answers */
    int asked_count;
    bool enrolled;     /* in this attempt; who was told so does not ask again */
    bool server_moved; /* in this attempt memory had no answer: the server itself answers */
    moment moments[MOMENTS];
    life_ids life;
    moment_name at; /* whose server runs */
    char code[40];
    fb_id customer, product, draft, sent_order, visit, activity, task, tag, note;
    fb_id photo_sent, photo;         /* attachments: at the server, and still to go up */
    char line[STAGE_LINE_BYTES_MAX]; /* a group of another replica */
    int64_t problem;
    fb_order *order; /* what a scene opened; closed after it */
    fb_sync *sync;
    fb_lane *lane;
    uint32_t observer;
} stage;

enum {
    UNENROLLED = 1, /* before the enrolment */
    BARE = 2,       /* no handle is open */
    STEPS = 4,      /* several transactions: what one kept stands */
    HINT = 8,       /* what it keeps is a hint: success without it is right */
    TOKEN = 16,     /* the server has seen a secret that is drawn: it is drawn again as it was */
    SEEN = 32       /* TOR-6 */
};

typedef struct scene {
    const char *name;            /* the public function it is about */
    fb_code (*before)(stage *s); /* undisturbed; NULL: nothing */
    fb_code (*play)(stage *s, fb_error *err);
    unsigned flags; /* and AT */
} scene;
/* The moment where a scene begins: AT(MOMENT_PACKS) among its flags. */
#define AT(moment) ((unsigned)(moment) << 8)
static inline moment_name scene_moment(const scene *c)
{
    return (moment_name)(c->flags >> 8);
}
extern const scene SCENES[], LANE_SCENES[], LIFE_SCENES[], FILE_SCENES[];
extern const int SCENES_COUNT, LANE_SCENES_COUNT, LIFE_SCENES_COUNT, FILE_SCENES_COUNT;

void stage_make(stage *s);
void stage_free(stage *s);
/* Put the files back and open the handle (unless bare). */
void stage_set(stage *s, const scene *played);
/* Before a scene's first play: the server is at its moment too, and what it answers is kept. */
void stage_turn(stage *s, const scene *played);
void stage_close(stage *s); /* handles of the attempt */
fb_code stage_open(stage *s, fb_error *err);
fb_link stage_link(stage *s);
/* The lane from memory, until nothing is left. */
fb_code stage_lane(stage *s, fb_error *err);
/* Hash of every row of every table; and of the numbers of rows only. 0: cannot be read. */
uint64_t stage_dump(const stage *s, bool counts_only);
/* Hash of what a person sees: rows of the catalogue's tables, states of groups, drafts. */
uint64_t stage_seen(const stage *s);

#endif
