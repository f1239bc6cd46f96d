-- The tables of a device that are not entities: core/replica/replica.h says what each is for.
-- Step 1 of schema/device; steps run in the order of their numbers, each once (PRAGMA user_version).

CREATE TABLE fb_meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

-- Catalogue texts as received; the greatest version is the one the entity tables were made for.
CREATE TABLE fb_catalog (
    version INTEGER NOT NULL PRIMARY KEY,
    body    TEXT NOT NULL
) STRICT;

-- One row per group. body: the group's line, zstd when that is shorter (a line begins with '{').
-- state: 0 pending, 1 held, 2 rejected, 3 blocked, 4 closed, 5 answered to an earlier incarnation and in
-- no known backup. A negative gseq belongs to an earlier incarnation: kept for the person's tray, or (5)
-- to be sent again if the server is restored.
CREATE TABLE fb_outbox (
    gseq  INTEGER NOT NULL PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    body  BLOB NOT NULL,
    chain BLOB NOT NULL,
    state INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX fb_outbox_state ON fb_outbox (state) WHERE state <> 0;

-- Before-images of groups that are not inserts only.
CREATE TABLE fb_undo (
    gseq INTEGER NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- Runs of plain applied groups whose effect is not base state yet.
CREATE TABLE fb_ack (
    gseq_from INTEGER NOT NULL PRIMARY KEY,
    gseq_to   INTEGER NOT NULL,
    cid_from  INTEGER NOT NULL
) STRICT;

-- Every other verdict, as its line. in_effect: promoted (PRO-3).
CREATE TABLE fb_verdict (
    gseq      INTEGER NOT NULL PRIMARY KEY,
    code      INTEGER NOT NULL,
    cid       INTEGER NOT NULL,
    echo      INTEGER NOT NULL,
    in_effect INTEGER NOT NULL DEFAULT 0,
    body      TEXT NOT NULL
) STRICT;
CREATE INDEX fb_verdict_new ON fb_verdict (gseq) WHERE in_effect = 0;

-- Pages that wait for the complete one. body: blocks and rows, zstd. applied: groups that the
-- page's snapshot holds. counts: "entity rows" a line, for the choice of late indexes.
CREATE TABLE fb_stage (
    n       INTEGER NOT NULL PRIMARY KEY,
    applied INTEGER NOT NULL,
    reset   INTEGER NOT NULL,
    rows    INTEGER NOT NULL,
    counts  TEXT NOT NULL,
    body    BLOB NOT NULL
) STRICT;

-- Rows of which this device's catalogue does not know the entity or a column yet.
CREATE TABLE fb_unknown (
    entity TEXT NOT NULL,
    id     BLOB NOT NULL,
    body   TEXT NOT NULL,
    PRIMARY KEY (entity, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE fb_draft (
    id         BLOB NOT NULL PRIMARY KEY,
    kind       TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE fb_counter (
    name TEXT NOT NULL PRIMARY KEY,
    next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- gseq: the group whose verdict said so; a server restored to before it takes it back.
CREATE TABLE fb_alias (
    from_id BLOB NOT NULL PRIMARY KEY,
    entity  TEXT NOT NULL,
    to_id   BLOB NOT NULL,
    gseq    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What replay could not apply any more; made anew by every promotion.
CREATE TABLE fb_warning (
    n    INTEGER NOT NULL PRIMARY KEY,
    gseq INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
