/* sync.pml - the sync protocol as a Promela model, for spin 6.5.
 *
 * What it is for: every interleaving of a few groups, a few devices and every disaster that the
 * protocol promises to survive. What it leaves to whom: bytes, rows and SQL belong to the unit
 * tests and the simulator; `held`, aliases, merges by column and scopes are not modelled.
 *
 * One group inserts one row of its own (the fact x) and writes one row that all share. So the
 * server's rows are its commit log: fact x exists when x is in the log, the shared row holds the
 * last one. A chain hash is modelled as the sequence it covers.
 *
 * A reply is read and taken in one step. That loses nothing: the reading touches only the server,
 * the taking only the device, and what happens between them (a save, another's commit, a restore)
 * commutes with one of the two. The sending, the server's transaction and its reading are apart.
 *
 * From every reachable state in which nothing is under way the model can `heal`: everybody syncs
 * twice over a good network; then everything promised must be true. (So "the outbox drains" is a
 * bounded property of every state, not a hope about infinite runs.)
 *
 * Checked
 *   ONCE   a group takes effect at most once                              (log_append, heal)
 *   ORDER  a group is decided after the one saved before it on its device (group_take)
 *   PRO-1  after a promotion the base state is the server's state         (promote)
 *   PRO-2  nothing of an incomplete download is visible: base is only ever changed by promote
 *   RYW    what was saved here and not refused is visible here            (after every take)
 *   CUR    the head never goes back within an epoch                       (promote)
 *   LOST   a saved group is on the server, or kept on a device; only a disaster that destroys its
 *          last copy excuses it                                           (heal)
 *   L1     after healing every outbox is drained and every base is the server's state (heal)
 *   FORK   both clones' groups are on the server (LOST and ONCE with clones)
 *
 * Defined by whoever runs it (see model.sh): ND devices, NG groups, NI incarnations at once, PUSH
 * groups a request, and the faults CUT, LATE, BADS, BACKUPS, RESTORES, PHONE, CLONE.
 * MISTAKE=1..20 plants one mistake; mistakes.def says which. */

#ifndef ND
#define ND 2
#endif
#ifndef NG
#define NG 3
#endif
#ifndef NI
#define NI 8
#endif
#ifndef PUSH
#define PUSH 2
#endif
#ifndef CUT /* pages may be cut after one row */
#define CUT 0
#endif
#ifndef LATE /* a request that was given up may arrive later, and again */
#define LATE 0
#endif
#ifndef BADS /* groups that the server refuses */
#define BADS 0
#endif
#ifndef BACKUPS
#define BACKUPS 0
#endif
#ifndef RESTORES /* of the server, from its last backup, with a new epoch */
#define RESTORES 0
#endif
#ifndef PHONE /* device 0 may be put back to an earlier copy of itself, so many times */
#define PHONE 0
#endif
#ifndef CLONE /* the last device begins as a copy of device 0 */
#define CLONE 0
#endif
#ifndef MISTAKE
#define MISTAKE 0
#endif

#define NONE 15
#define COPY ND  /* dev[COPY]: the phone's backup */
#define LIVE 0   /* srv[LIVE]: the server */
#define BACKUP 1 /* srv[BACKUP]: its backup */
#define ACCOUNT(d) ((CLONE && (d) == ND - 1) -> 0 : (d))

/* Sequences of groups, three bits each: the group with number g. */
#define AT(q, g) (((q) >> (3 * ((g)-1))) & 7)
#define SHIFTED(x, g) ((x) << (3 * ((g)-1)))
#define FIRST(q, n) ((q) & ((1 << (3 * (n))) - 1))
#define BIT(x) (1 << ((x)-1))
#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

#ifdef TRACE
#define say1(a, b) printf(a, b)
#define say2(a, b, c) printf(a, b, c)
#define say3(a, b, c, e) printf(a, b, c, e)
#define say6(a, b, c, e, f, g, i) printf(a, b, c, e, f, g, i)
#else
#define say1(a, b) skip
#define say2(a, b, c) skip
#define say3(a, b, c, e) skip
#define say6(a, b, c, e, f, g, i) skip
#endif

/* ---------------------------------------------------------------- state */

typedef Device { /* core/replica: replica_state, fb_outbox, fb_stage */
    bit on;
    unsigned inc : 4;
    unsigned ep : 2;
    unsigned last : 3;    /* groups written in this incarnation */
    unsigned acked : 3;   /* verdicts known */
    unsigned settled : 3; /* part of the base state */
    unsigned based : 3;   /* VIS-2: what the base's snapshot held */
    unsigned bkd : 3;     /* inside a backup of the server */
    unsigned pruned : 3;  /* dropped from the outbox */
    unsigned q : 12;      /* bodies 1..last (those up to pruned only for the chain) */
    unsigned echo : 4;    /* by number: verdict with echo, not in effect yet */
    unsigned base : 4;    /* facts */
    unsigned shared : 3;  /* the shared row: which group wrote it */
    unsigned tray : 4;    /* refused, kept for the person */
    unsigned kept : 4;    /* answered in an earlier incarnation, no backup yet: archive */
    unsigned tok : 4;
    bit has_tok;
    bit fill;             /* the token is of a first download in its course */
    bit stale;            /* no base: a reset page must come */
    unsigned head : 3;
    bit staged;
    unsigned s_rows : 4;
    unsigned s_shared : 3;  /* 0: no page held it */
    unsigned s_applied : 3; /* what the page that held it knew of us */
    bit s_reset;
    unsigned s_base : 3;    /* what the reset page knew of us */
    unsigned flight : 2;  /* 0 idle, 1 request sent, 2 written by the server */
    unsigned f_last : 3;  /* `last` in that request */
    unsigned f_count : 3; /* groups in it */
    bit f_diff;           /* the server saw another epoch in it */
    unsigned mine : 4;    /* ghost: saved on this copy */
    unsigned newest : 3   /* ghost: the last group saved on this copy */
};

typedef Inc { /* fs_incarnation with its fs_verdict rows */
    bit known;
    unsigned account : 2;
    unsigned n : 3; /* applied */
    unsigned q : 12;
    unsigned plain : 4;
    unsigned fork_last : 3
};

typedef Server {
    unsigned h : 3; /* ledger_head */
    unsigned log : 12;
    byte cur[ND]; /* current incarnation of each account */
    Inc in[NI]
};

typedef Late { /* a request given up by its device, still in the network */
    bit used;
    unsigned inc : 4;
    unsigned ep : 2;
    unsigned acked : 3;
    unsigned last : 3;
    unsigned count : 3;
    unsigned q : 12
};

Device dev[ND + 1];
Server srv[2];
#if LATE
Late late[ND];
#endif
byte epoch = 1;
unsigned saved : 3;
unsigned bad : 4;   /* ghost: groups that the server will refuse */
unsigned lost : 4;  /* ghost: a disaster destroyed the last copy */
unsigned saw : 12;  /* version of the shared row that group x was based on */
unsigned prior : 12; /* ghost: the group saved before x on the same copy */
unsigned backups : 2;
unsigned restores : 2;
unsigned phones : 2;
bit copied;
bit cloned;
bit forked; /* ghost: a device took a new incarnation */
bit over;

/* Scratch, outside the state. */
hidden byte r_inc, r_ep, r_acked, r_last, r_count, r_account, r_applied, r_rep, r_ans;
hidden short r_q;
hidden byte r_diff, r_new;
hidden byte g, x, c, i, n, k, w, v, fresh;
hidden byte own, found, plain, cut;
hidden byte p_rows, p_shared, p_tok, p_from;
hidden byte p_reset, p_complete, p_fill, p_none, taken, changed, reset;
hidden byte t_applied, t_based, t_settled, facts;
hidden byte h_round, h_d, h_try;
hidden byte h_quiet;

#define OK 0
#define FORK 1
#define GAP 2
#define LATER 3

#define D dev[d]
#define S srv[LIVE]

/* ---------------------------------------------------------------- what is where */

/* facts := the server's rows */
inline server_facts() {
    facts = 0;
    c = 1;
    do
    :: c <= S.h -> facts = facts | BIT(AT(S.log, c)); c++
    :: else -> break
    od
}

/* facts, v := what device d shows: base, then what is on top (promote.c group_is_on_top) */
inline visible(d) {
    facts = D.base;
    v = D.shared;
    g = D.based + 1;
    do
    :: g <= D.last ->
        x = AT(D.q, g);
        if
        :: (D.tray & BIT(x)) == 0 -> facts = facts | BIT(x); v = x
        :: else
        fi;
        g++
    :: else -> break
    od
}

/* found := x is decided on the server, by any incarnation */
inline is_decided(y) {
    found = 0;
    k = 0;
    do
    :: k < NI ->
        n = 1;
        do
        :: n <= S.in[k].n -> found = found || AT(S.in[k].q, n) == (y); n++
        :: else -> break
        od;
        k++
    :: else -> break
    od
}

/* found := some copy of group y exists: server's verdict store, outbox, tray, archive */
inline is_somewhere(y) {
    is_decided(y);
    k = 0;
    do
    :: k < ND ->
        if
        :: dev[k].on ->
            found = found || ((dev[k].tray | dev[k].kept) & BIT(y));
            n = dev[k].pruned + 1;
            do
            :: n <= dev[k].last -> found = found || AT(dev[k].q, n) == (y); n++
            :: else -> break
            od
        :: else
        fi;
        k++
    :: else -> break
    od
}

/* After a disaster: what has no copy left is excused. */
inline excuse() {
    x = 1;
    do
    :: x <= saved ->
        is_somewhere(x);
        lost = (found -> lost : lost | BIT(x));
        x++
    :: else -> break
    od
}

/* ---------------------------------------------------------------- the server */

/* ledger_commit: STO-1, one commit a group */
inline log_append(y) {
    c = 1;
    do
    :: c <= S.h -> assert(AT(S.log, c) != (y)); c++ /* ONCE */
    :: else -> break
    od;
    S.h++;
    S.log = S.log | SHIFTED(y, S.h)
}

/* own := group y stands in r_inc as a plain one with a number beyond `above` (feed_view.c is_own) */
inline is_own(y, incarnation, above) {
    own = 0;
    n = (above) + 1;
    do
    :: n <= S.in[incarnation].n ->
#if MISTAKE == 9
        own = own || AT(S.in[incarnation].q, n) == (y);
#else
        own = own || (AT(S.in[incarnation].q, n) == (y) && (S.in[incarnation].plain & BIT(n)));
#endif
        n++
    :: else -> break
    od
}

/* fork.c fork_recognise: found := another incarnation of the account delivered y */
inline fork_recognise(y) {
    found = 0;
    k = 0;
    do
    :: k < NI ->
        if
        :: k != r_inc && S.in[k].known && S.in[k].account == r_account ->
            n = 1;
            do
            :: n <= S.in[k].n -> found = found || AT(S.in[k].q, n) == (y); n++
            :: else -> break
            od
        :: else
        fi;
        k++
    :: else -> break
    od
}

/* intake.c group_take, decide_group */
inline group_take(number) {
    x = AT(r_q, number);
    i = AT(prior, x);
    if
    :: i > 0 && restores == 0 && (lost & BIT(i)) == 0 -> is_decided(i); assert(found) /* ORDER */
    :: else
    fi;
    found = 0;
    plain = 0;
    if
    :: number <= S.in[r_inc].fork_last && MISTAKE != 15 -> fork_recognise(x)
    :: else
    fi;
    if
    :: !found && (bad & BIT(x)) == 0 ->
        w = (S.h == 0 -> 0 : AT(S.log, S.h));
        if
        :: w == AT(saw, x) -> plain = 1
        :: else -> is_own(w, r_inc, 0); plain = own
        fi;
        log_append(x)
    :: else
    fi;
    if
    :: number > S.in[r_inc].n ->
        S.in[r_inc].q = S.in[r_inc].q | SHIFTED(x, number);
        S.in[r_inc].n = number;
        S.in[r_inc].plain = S.in[r_inc].plain | (plain -> BIT(number) : 0)
    :: else
    fi
}

/* chain.c chain_judge, intake.c marks_judge */
inline chain_judge() {
    r_rep = 0;
    if
    :: r_last < r_applied -> r_ans = FORK
    :: r_last >= r_applied && r_acked > r_applied -> r_ans = GAP
    :: else ->
        r_rep = MIN(r_applied - r_acked, r_count);
        if
        :: MISTAKE == 7 -> skip
        :: MISTAKE != 7 && r_count == 0 -> /* chain_before is that of `last` */
            r_ans = (r_last == r_applied && !r_new && FIRST(r_q, r_last) != S.in[r_inc].q -> FORK : OK)
        :: MISTAKE != 7 && r_count > 0 && r_applied - r_acked > r_count -> /* by marks */
            r_ans = (FIRST(r_q >> (3 * r_acked), r_count) !=
                     FIRST(S.in[r_inc].q >> (3 * r_acked), r_count) -> FORK : OK)
        :: else ->
            r_ans = (!r_new && FIRST(r_q, r_applied) != S.in[r_inc].q -> FORK : OK)
        fi
    fi
}

/* intake_sync in one synced transaction (server_write): r_* is the request, r_ans the answer */
inline server_write() {
    r_ans = OK;
    r_diff = (r_ep != epoch && MISTAKE != 2);
    r_new = (S.cur[r_account] != r_inc);
    if
    :: r_new && S.in[r_inc].known && MISTAKE != 14 -> r_ans = FORK /* it was current before */
    :: else
    fi;
    r_applied = (r_new -> 0 : S.in[r_inc].n);
    if
    :: r_ans == OK && !r_diff -> chain_judge()
    :: else
    fi;
    if
    :: r_ans == OK && r_new -> /* door_incarnation_begin */
        S.cur[r_account] = r_inc;
        S.in[r_inc].known = 1;
        S.in[r_inc].account = r_account;
        S.in[r_inc].n = 0;
        S.in[r_inc].q = 0;
        S.in[r_inc].plain = 0;
        S.in[r_inc].fork_last = r_last
    :: else
    fi;
    if
    :: r_ans == OK && !r_diff ->
        g = (MISTAKE == 13 -> r_acked + 1 : r_applied + 1);
        do
        :: g <= r_acked + r_count -> group_take(g); g++
        :: else -> break
        od
    :: else
    fi
}

/* feed_page for device d: rows behind its token, all of them or (cut) only the first.
 * Positions: fact of commit c at 2c; the shared row moves with every commit, it is at 2h+1. */
inline feed_page(d) {
    p_reset = (D.f_diff || !D.has_tok || D.tok > 2 * S.h + 1); /* VIE-1 start_anew */
    p_from = (p_reset -> 0 : D.tok);
    p_fill = (p_reset || D.fill);
    p_rows = 0;
    p_shared = 0;
    p_tok = 2 * S.h + 1;
    p_complete = 1;
#if MISTAKE == 3
    p_from = (p_from > 0 -> p_from + 1 : 0);
#endif
    c = 1;
    do
    :: c <= S.h && p_complete ->
        x = AT(S.log, c);
        own = 0;
        if
        :: !p_fill || MISTAKE == 8 -> is_own(x, D.inc, D.settled) /* FED-4 */
        :: else
        fi;
        if
        :: 2 * c > p_from && !own ->
            p_rows = p_rows | BIT(x);
            p_complete = !cut;
            p_tok = (cut -> 2 * c : p_tok)
        :: else
        fi;
        if
        :: p_complete && c == S.h && 2 * c + 1 > p_from && !own -> p_shared = x
        :: else
        fi;
        c++
    :: else -> break
    od;
    p_fill = (p_complete -> 0 : p_fill)
}

/* ---------------------------------------------------------------- the device */

/* found := without the record of `fresh` server s would not know some group any more */
inline is_needed(s) {
    n = 1;
    do
    :: n <= srv[s].in[fresh].n && !found ->
        x = AT(srv[s].in[fresh].q, n);
        w = 0;
        k = 0;
        do
        :: k < NI ->
            c = 1;
            do
            :: k != fresh && srv[s].in[k].account == srv[s].in[fresh].account && c <= srv[s].in[k].n ->
                w = w || AT(srv[s].in[k].q, c) == x;
                c++
            :: else -> break
            od;
            k++
        :: else -> break
        od;
        found = !w;
        n++
    :: else -> break
    od
}

/* fresh := an incarnation that nobody alive remembers: 128 random bits never come again, so one
 * that is in no device and request, whose groups are all recorded under others, may stand for it */
inline incarnation_draw() {
    fresh = 0;
    found = 1;
    do
    :: fresh < NI && found ->
        found = 0;
        k = 0;
        do
        :: k <= ND -> found = found || (dev[k].on && dev[k].inc == fresh); k++
        :: else -> break
        od;
        k = 0;
        do
        :: k < ND ->
            found = found || S.cur[k] == fresh || (backups > 0 && srv[BACKUP].cur[k] == fresh);
#if LATE
            found = found || (late[k].used && late[k].inc == fresh);
#endif
            k++
        :: else -> break
        od;
        if
        :: !found -> is_needed(LIVE)
        :: else
        fi;
        if
        :: !found -> is_needed(BACKUP)
        :: else
        fi;
        fresh = (found -> fresh + 1 : fresh)
    :: else -> break
    od;
    assert(fresh < NI); /* NI is too small for this configuration */
    S.in[fresh].known = 0;
    S.in[fresh].n = 0;
    S.in[fresh].q = 0;
    S.in[fresh].plain = 0;
    S.in[fresh].fork_last = 0;
    S.in[fresh].account = 0;
    srv[BACKUP].in[fresh].known = 0;
    srv[BACKUP].in[fresh].n = 0;
    srv[BACKUP].in[fresh].q = 0;
    srv[BACKUP].in[fresh].plain = 0;
    srv[BACKUP].in[fresh].fork_last = 0;
    srv[BACKUP].in[fresh].account = 0
}

inline stage_drop(d) {
    D.staged = 0;
    D.s_rows = 0;
    D.s_shared = 0;
    D.s_applied = 0;
    D.s_reset = 0;
    D.s_base = 0
}

/* The base is given up, but rows stay as they are until a reset page. */
inline base_goes_stale(d) {
    visible(d);
    D.base = facts;
    D.shared = v;
    D.stale = 1;
    D.head = 0;
    D.has_tok = 0;
    D.tok = 0;
    D.fill = 0;
    stage_drop(d)
}

/* rebirth.c replica_rebirth */
inline rebirth(d) {
    base_goes_stale(d);
    g = 1;
    do
    :: g <= D.acked -> /* archive_answered */
        x = AT(D.q, g);
        if
        :: bad & BIT(x) -> D.tray = D.tray | BIT(x)
        :: else -> D.kept = (g > D.bkd -> D.kept | BIT(x) : D.kept)
        fi;
        g++
    :: else -> break
    od;
    D.q = D.q >> (3 * D.acked); /* renumber_pending */
    D.last = D.last - D.acked;
    D.settled = 0;
    D.acked = 0;
    D.based = 0;
    D.bkd = 0;
    D.pruned = 0;
    D.echo = 0;
#if MISTAKE != 4
    D.inc = NONE;
    incarnation_draw();
    D.inc = fresh;
#endif
    D.flight = 0;
    D.f_last = 0;
    D.f_count = 0;
    D.f_diff = 0;
    forked = 1;
    say1("T reborn %d\n", d)
}

/* outbox.c outbox_prune: OUT-4 */
inline outbox_prune(d) {
#if MISTAKE == 6
    k = D.settled;
#else
    k = MIN(D.settled, D.bkd);
#endif
    D.pruned = MAX(D.pruned, k)
}

/* promote.c promote: the page just read (p_*) behind what is staged */
inline promote(d) {
    if
    :: p_reset -> D.s_reset = 1; D.s_base = t_applied
    :: else
    fi;
    D.s_rows = D.s_rows | p_rows;
    if
    :: p_shared > 0 -> D.s_shared = p_shared; D.s_applied = t_applied
    :: else
    fi;
    if
    :: D.s_reset -> D.base = 0; D.shared = 0
    :: else
    fi;
    D.base = D.base | D.s_rows;
    t_based = MAX(t_applied, D.acked);
    /* decide_role, become_base: groups that stood as sent, before and after the shared row's page */
    g = D.settled + 1;
    reset = 0; /* the page's shared row is in */
    do
    :: g <= D.acked ->
        x = AT(D.q, g);
        if
        :: !reset && g > D.s_applied && D.s_shared > 0 -> D.shared = D.s_shared; reset = 1
        :: else
        fi;
        if
        :: bad & BIT(x) -> D.tray = D.tray | BIT(x) /* ROLE_DROP */
        :: else ->
            found = ((D.echo & BIT(g)) || (D.s_reset && g <= D.s_base)); /* ROLE_ECHO */
#if MISTAKE != 20
            found = (found || g <= D.based);
#endif
            if
            :: !found -> D.base = D.base | BIT(x); D.shared = x /* ROLE_BASE */
            :: else
            fi
        fi;
        g++
    :: else -> break
    od;
    if
    :: !reset && D.s_shared > 0 -> D.shared = D.s_shared
    :: else
    fi;
    assert(S.h >= D.head); /* CUR */
    D.stale = 0;
    D.echo = 0;
    D.settled = D.acked;
    D.based = t_based;
    D.head = S.h;
    D.tok = p_tok;
    D.fill = p_fill;
    D.has_tok = 1;
    stage_drop(d);
    outbox_prune(d);
    server_facts();
    assert(D.base == facts); /* PRO-1 */
    assert(D.shared == (S.h == 0 -> 0 : AT(S.log, S.h)))
}

/* stage.c take_page: a page that is not the last one */
inline stage_page(d) {
    if
    :: p_reset -> stage_drop(d); D.s_reset = 1; D.s_base = t_applied
    :: else
    fi;
    D.staged = 1;
    D.s_rows = D.s_rows | p_rows;
    if
    :: p_shared > 0 -> D.s_shared = p_shared; D.s_applied = t_applied
    :: else
    fi;
    D.tok = p_tok;
    D.fill = p_fill;
    D.has_tok = 1
}

/* stage.c take_epoch */
inline take_epoch(d) {
    base_goes_stale(d);
    D.ep = epoch;
    D.acked = MAX(D.bkd, D.pruned);
    D.settled = MIN(D.settled, D.acked);
    D.based = MIN(D.based, D.acked);
    D.echo = 0
}

/* stage.c take_verdicts: (acked, applied]; what they mean for rows waits for promote (PRO-3) */
inline take_verdicts(d) {
    g = D.acked + 1;
    do
    :: g <= t_applied ->
        x = AT(D.q, g);
        if
        :: (bad & BIT(x)) == 0 && (S.in[D.inc].plain & BIT(g)) == 0 -> D.echo = D.echo | BIT(g)
        :: else
        fi;
        g++
    :: else -> break
    od;
    D.acked = MAX(D.acked, t_applied)
}

/* After both a restored server and a copied device the numbers of the two lives are told apart only
 * in the exchange after the one that brings the new epoch: until then a group may be out of sight
 * (it is not lost: LOST is checked). */
inline read_your_writes(d) {
    visible(d);
    v = D.mine & ~(facts | bad | lost);
    v = (restores > 0 -> v & ~D.kept : v);
    v = (restores > 0 && (copied || cloned) -> 0 : v);
    assert(v == 0) /* RYW */
}

inline flight_ends(d) {
    D.flight = 0;
    D.f_last = 0;
    D.f_count = 0;
    D.f_diff = 0
}

/* What the reply says that is read now, and what the device makes of it: server_read, then
 * pull_take. r_ans: LATER when nothing was changed. */
inline server_read(d) {
    r_ans = OK;
    t_applied = (S.cur[ACCOUNT(d)] == D.inc -> S.in[D.inc].n : 0);
#if MISTAKE != 16
    /* What was written is not what is read: a copy of this device came between. */
    r_ans = (S.cur[ACCOUNT(d)] != D.inc || t_applied > D.f_last -> FORK : OK);
#endif
    /* What is known behind the groups carried was not shown: it may be a copy's (end_with_shown). */
    p_none = (!D.f_diff && D.f_count > 0 && t_applied > D.acked + D.f_count && MISTAKE != 12);
    t_applied = (p_none -> D.acked + D.f_count : t_applied);
    feed_page(d)
}

inline stage_reply(d) {
    changed = (D.ep != epoch && MISTAKE != 2);
    taken = !(t_applied > D.last); /* check_order */
    taken = taken && (changed || (S.h >= D.head && t_applied >= D.acked));
    taken = taken && !(D.stale && !p_none && !p_reset && !D.staged && !changed);
    r_ans = (taken -> OK : LATER);
    if
    :: taken && changed -> take_epoch(d)
    :: taken && !changed -> D.ep = epoch; take_verdicts(d)
    :: else
    fi;
    if
    :: taken ->
        k = (backups > 0 -> MIN(srv[BACKUP].in[D.inc].n, t_applied) : 0); /* take_backed_up */
        k = MIN(k, D.acked);
        D.bkd = MAX(D.bkd, k);
        if
        :: p_reset && !p_none -> stage_drop(d)
        :: else
        fi;
        if
        :: p_none -> skip /* no page */
        :: !p_none && (p_complete || MISTAKE == 11) -> promote(d)
        :: else ->
            stage_page(d);
#if MISTAKE == 5
            g = D.settled + 1; /* the verdict counts before the page that goes with it */
            do
            :: g <= D.acked ->
                D.base = ((D.echo & BIT(g)) == 0 -> D.base | BIT(AT(D.q, g)) : D.base);
                g++
            :: else -> break
            od;
            D.settled = D.acked;
            D.based = D.acked;
#endif
        fi;
        read_your_writes(d)
    :: else
    fi;
    flight_ends(d)
}

/* push.c push_build */
inline push_build(d) {
    D.flight = 1;
    D.f_last = D.last;
    D.f_count = MIN(PUSH, D.last - D.acked);
    D.f_diff = 0;
#if MISTAKE == 18
    D.acked = D.acked + D.f_count;
#endif
}

/* r_* := the request that device d has out */
inline request_of(d) {
    r_inc = D.inc;
    r_ep = D.ep;
    r_last = D.f_last;
    r_count = D.f_count;
    r_acked = D.acked;
#if MISTAKE == 18
    r_acked = D.acked - D.f_count;
#endif
    r_q = FIRST(D.q, D.f_last);
    r_account = ACCOUNT(d)
}

#if LATE
inline late_keep(d) {
    late[d].used = 1;
    late[d].inc = D.inc;
    late[d].ep = D.ep;
    late[d].acked = D.acked;
    late[d].last = D.f_last;
    late[d].count = D.f_count;
    late[d].q = FIRST(D.q, D.f_last)
}

inline late_request_of(d) {
    r_inc = late[d].inc;
    r_ep = late[d].ep;
    r_acked = late[d].acked;
    r_last = late[d].last;
    r_count = late[d].count;
    r_q = late[d].q;
    r_account = ACCOUNT(d)
}

inline late_forget(d) {
    late[d].used = 0;
    late[d].inc = 0;
    late[d].ep = 0;
    late[d].acked = 0;
    late[d].last = 0;
    late[d].count = 0;
    late[d].q = 0
}
#endif

/* capture_commit: OUT-1, returns after the fsync */
inline capture(d, refused) {
    saved++;
    D.last++;
    D.q = D.q | SHIFTED(saved, D.last);
    D.mine = D.mine | BIT(saved);
    saw = saw | SHIFTED(D.shared, saved);
    prior = prior | SHIFTED(D.newest, saved);
    D.newest = saved;
    bad = ((refused) -> bad | BIT(saved) : bad);
    say3("T save %d %d %d\n", d, saved, refused);
    read_your_writes(d)
}

/* ---------------------------------------------------------------- copies */

inline device_copy(from, to) {
    dev[to].on = 1;
    dev[to].inc = dev[from].inc;
    dev[to].ep = dev[from].ep;
    dev[to].last = dev[from].last;
    dev[to].acked = dev[from].acked;
    dev[to].settled = dev[from].settled;
    dev[to].based = dev[from].based;
    dev[to].bkd = dev[from].bkd;
    dev[to].pruned = dev[from].pruned;
    dev[to].q = dev[from].q;
    dev[to].echo = dev[from].echo;
    dev[to].base = dev[from].base;
    dev[to].shared = dev[from].shared;
    dev[to].tray = dev[from].tray;
    dev[to].kept = dev[from].kept;
    dev[to].tok = dev[from].tok;
    dev[to].has_tok = dev[from].has_tok;
    dev[to].fill = dev[from].fill;
    dev[to].stale = dev[from].stale;
    dev[to].head = dev[from].head;
    dev[to].staged = dev[from].staged;
    dev[to].s_rows = dev[from].s_rows;
    dev[to].s_shared = dev[from].s_shared;
    dev[to].s_applied = dev[from].s_applied;
    dev[to].s_reset = dev[from].s_reset;
    dev[to].s_base = dev[from].s_base;
    dev[to].mine = dev[from].mine;
    dev[to].newest = dev[from].newest;
    flight_ends(to)
}

inline server_copy(from, to) {
    srv[to].h = srv[from].h;
    srv[to].log = srv[from].log;
    k = 0;
    do
    :: k < ND -> srv[to].cur[k] = srv[from].cur[k]; k++
    :: else -> break
    od;
    k = 0;
    do
    :: k < NI ->
        srv[to].in[k].known = srv[from].in[k].known;
        srv[to].in[k].account = srv[from].in[k].account;
        srv[to].in[k].n = srv[from].in[k].n;
        srv[to].in[k].q = srv[from].in[k].q;
        srv[to].in[k].plain = srv[from].in[k].plain;
        srv[to].in[k].fork_last = srv[from].in[k].fork_last;
        k++
    :: else -> break
    od
}

/* ---------------------------------------------------------------- healing */

/* One exchange over a good network; h_quiet: this device has nothing more to say. */
inline exchange(d) {
    cut = 0;
    push_build(d);
    request_of(d);
    server_write();
    D.f_diff = r_diff;
    h_quiet = 0;
    if
    :: r_ans == OK -> server_read(d)
    :: else
    fi;
    if
    :: r_ans == OK -> stage_reply(d); h_quiet = (r_ans == OK && D.acked == D.last)
    :: r_ans == FORK -> rebirth(d)
    :: else -> flight_ends(d)
    fi
}

inline all_is_well() {
    server_facts();
    w = facts;
    h_d = 0;
    do
    :: h_d < ND ->
        if
        :: dev[h_d].on ->
            assert(dev[h_d].acked == dev[h_d].last && dev[h_d].settled == dev[h_d].last); /* L1 */
            assert(!dev[h_d].stale && dev[h_d].base == w);
            assert(dev[h_d].shared == (S.h == 0 -> 0 : AT(S.log, S.h)));
            say6("T end %d rows=%d shared=%d last=%d acked=%d tray=%d\n", h_d, dev[h_d].base, dev[h_d].shared,
                 dev[h_d].last, dev[h_d].acked, dev[h_d].tray)
        :: else
        fi;
        h_d++
    :: else -> break
    od;
    x = 1;
    do
    :: x <= saved ->
        is_somewhere(x);
        assert(found || (lost & BIT(x))); /* LOST: a copy */
        /* ... and on the server, unless it was both answered in an earlier incarnation and then
         * forgotten by a restored server: that one stays in the device's archive */
        found = (w & BIT(x));
        found = found || ((bad | lost) & BIT(x)) || (forked && restores > 0);
        assert(found);
        x++
    :: else -> break
    od
}

inline heal() {
    say1("T heal %d\n", 0);
    h_round = 0;
    do
    :: h_round < 2 ->
        h_d = 0;
        do
        :: h_d < ND ->
            h_try = 0;
            h_quiet = !dev[h_d].on;
            do
            :: !h_quiet && h_try < 8 -> exchange(h_d); h_try++
            :: else -> break
            od;
            assert(h_quiet); /* L1: bounded */
            h_d++
        :: else -> break
        od;
        h_round++
    :: else -> break
    od;
    all_is_well()
}

inline device_wipe(d) {
    D.on = 0;
    D.inc = 0;
    D.ep = 0;
    D.last = 0;
    D.acked = 0;
    D.settled = 0;
    D.based = 0;
    D.bkd = 0;
    D.pruned = 0;
    D.q = 0;
    D.echo = 0;
    D.base = 0;
    D.shared = 0;
    D.tray = 0;
    D.kept = 0;
    D.tok = 0;
    D.has_tok = 0;
    D.fill = 0;
    D.stale = 0;
    D.head = 0;
    D.mine = 0;
    D.newest = 0;
    stage_drop(d);
    flight_ends(d)
}

/* Every healed end is the same state: it counts once. */
inline forget_everything() {
    h_d = 0;
    do
    :: h_d <= ND -> device_wipe(h_d); h_d++
    :: else -> break
    od;
    S.h = 0;
    S.log = 0;
    k = 0;
    do
    :: k < ND -> S.cur[k] = 0; k++
    :: else -> break
    od;
    k = 0;
    do
    :: k < NI ->
        S.in[k].known = 0;
        S.in[k].account = 0;
        S.in[k].n = 0;
        S.in[k].q = 0;
        S.in[k].plain = 0;
        S.in[k].fork_last = 0;
        k++
    :: else -> break
    od;
    server_copy(LIVE, BACKUP);
    epoch = 0;
    saved = 0;
    bad = 0;
    lost = 0;
    saw = 0;
    prior = 0;
    backups = 0;
    restores = 0;
    phones = 0;
    copied = 0;
    cloned = 0;
    forked = 0;
    over = 1
}

/* Nothing is under way: from here the network may heal. */
#if LATE
#define IS_IDLE(d) (dev[d].flight == 0 && !late[d].used)
#else
#define IS_IDLE(d) (dev[d].flight == 0)
#endif
#if ND == 2
#define IS_QUIET (!over && IS_IDLE(0) && IS_IDLE(1))
#else
#define IS_QUIET (!over && IS_IDLE(0) && IS_IDLE(1) && IS_IDLE(2))
#endif

/* ---------------------------------------------------------------- who acts */

proctype device(byte d)
{
end:
    do
    :: d_step { !over && D.on && saved < NG -> capture(d, 0) }
#if BADS
    :: d_step { !over && D.on && saved < NG && bad == 0 -> capture(d, 1) }
#endif
    :: d_step { !over && D.on && D.flight == 0 -> push_build(d); say1("T send %d\n", d) }
    /* The server's transaction. Its reply is not out before it is durable (SRV-1). */
    :: d_step {
        !over && D.flight == 1 ->
            say1("T write %d\n", d);
            request_of(d);
            server_write();
            if
            :: r_ans == OK -> D.flight = 2; D.f_diff = r_diff
            :: r_ans == FORK -> rebirth(d)
            :: else -> flight_ends(d)
            fi
        }
#if MISTAKE == 1
    :: d_step { /* the reply is out, then the server crashes before its commit */
        !over && D.flight == 1 && D.ep == epoch && S.cur[ACCOUNT(d)] == D.inc ->
            D.acked = D.acked + D.f_count;
            flight_ends(d)
        }
#endif
#if MISTAKE == 10
    :: d_step { /* the first group carried is missing in the body, and the next one is taken */
        !over && D.flight == 1 && D.f_count > 1 && D.ep == epoch && S.cur[ACCOUNT(d)] == D.inc &&
        S.in[D.inc].n == D.acked ->
            request_of(d);
            group_take(D.acked + 2);
            D.flight = 2
        }
#endif
    /* A proxy delivers it once more. */
    :: d_step {
        !over && D.flight == 2 -> say1("T again %d\n", d); request_of(d); server_write()
        }
    /* The reply, whole or (CUT) one page of several. */
    :: d_step {
        !over && D.flight == 2 ->
            say1("T reply %d\n", d);
            cut = 0;
            server_read(d);
            if
            :: r_ans == FORK -> rebirth(d)
            :: else -> stage_reply(d)
            fi
        }
#if CUT
    :: d_step {
        !over && D.flight == 2 ->
            say1("T page %d\n", d);
            cut = 1;
            server_read(d);
            if
            :: r_ans == FORK -> rebirth(d)
            :: else -> stage_reply(d)
            fi
        }
#endif
#if MISTAKE == 17
    :: d_step { /* the token is stored, then the device crashes before the rows are */
        !over && D.flight == 2 && D.ep == epoch && D.has_tok && !D.fill && S.h > D.head ->
            D.tok = 2 * S.h + 1;
            flight_ends(d)
        }
#endif
    /* The request or the reply is lost, or the device or the server crashes: the same for both. */
    :: d_step { !over && D.flight > 0 -> say2("T lose %d %d\n", d, D.flight); flight_ends(d) }
#if MISTAKE == 19
    :: d_step { /* save() returned before the fsync, then the power goes */
        !over && D.on && D.flight == 0 && D.last > D.acked ->
            D.q = FIRST(D.q, D.last - 1);
            D.last = D.last - 1;
            D.mine = 0
        }
#endif
#if LATE
    :: d_step { !over && D.flight == 1 && !late[d].used -> say1("T delay %d\n", d); late_keep(d); flight_ends(d) }
    :: d_step { !over && late[d].used -> say1("T late %d\n", d); late_request_of(d); server_write() }
    :: d_step { !over && late[d].used -> late_forget(d) }
#endif
    :: over -> break
    od
}

proctype world()
{
end:
    do
#if BACKUPS
    :: d_step { !over && backups < BACKUPS -> say1("T backup %d\n", 0); backups++; server_copy(LIVE, BACKUP); skip }
#endif
#if RESTORES
    :: d_step {
        !over && backups > 0 && restores < RESTORES ->
            say1("T server_restore %d\n", 0);
            restores++;
            epoch++;
            server_copy(BACKUP, LIVE);
            k = 0;
            do
            :: k < ND -> flight_ends(k); k++
            :: else -> break
            od;
            excuse();
            skip
        }
#endif
#if PHONE
    :: d_step { !over && !copied -> say1("T phone_backup %d\n", 0); copied = 1; device_copy(0, COPY) }
    :: d_step {
        !over && copied && phones < PHONE ->
            say1("T phone_restore %d\n", 0);
            phones++;
            device_copy(COPY, 0);
            excuse();
            skip
        }
#endif
#if CLONE
    :: d_step { !over && !cloned -> say1("T clone %d\n", ND - 1); cloned = 1; device_copy(0, ND - 1) }
#endif
#ifdef TRACE /* a run worth replaying */
    :: d_step { IS_QUIET && saved == NG -> heal(); forget_everything() }
#else
    :: d_step { IS_QUIET -> heal(); forget_everything() }
#endif
    :: over -> break
    od
}

init {
    d_step {
        h_d = 0;
        do
        :: h_d < ND - CLONE -> /* enrolled and synced once */
            dev[h_d].on = 1;
            dev[h_d].ep = 1;
            dev[h_d].inc = h_d;
            dev[h_d].has_tok = 1;
            dev[h_d].tok = 1;
            S.cur[h_d] = h_d;
            S.in[h_d].known = 1;
            S.in[h_d].account = h_d;
            h_d++
        :: else -> break
        od;
        if
        :: CLONE -> S.cur[ND - 1] = 0
        :: else
        fi
    };
    atomic {
        run world();
        h_d = 0;
        do
        :: h_d < ND -> run device(h_d); h_d++
        :: else -> break
        od
    }
}
