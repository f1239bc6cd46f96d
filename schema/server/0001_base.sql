-- The server's tables that are not entities (entity tables come from the catalogue).
-- Small integers stand for long identities: fs_incarnation.no for (device, incarnation),
-- fs_entity.number for an entity's name, fs_scope.scope for (kind, ref).

-- What the server knows about itself: epoch, backed_up_cid, scope_stamp, scope_clock_ms, horizon, salts.
CREATE TABLE fs_meta (
  key   TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Catalogue texts; the greatest version is active.
CREATE TABLE fs_catalog (
  version INTEGER PRIMARY KEY,
  body    TEXT NOT NULL
) STRICT;

-- Stable numbers of entity names, whatever their order in the catalogue.
CREATE TABLE fs_entity (
  number INTEGER PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE
) STRICT;

-- One row per commit (LED-1). incarnation 0: the administrator or a server job, then user_id may be set.
CREATE TABLE fs_commit (
  cid         INTEGER PRIMARY KEY,
  at_ms       INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,
  gseq        INTEGER NOT NULL,
  plain       INTEGER NOT NULL,
  user_id     BLOB
) STRICT;

-- The machinery of a device; what people see of it is the entity `device` with the same id.
CREATE TABLE fs_device (
  id              BLOB NOT NULL PRIMARY KEY,
  code            TEXT NOT NULL UNIQUE,
  user_id         BLOB NOT NULL,
  name            TEXT NOT NULL DEFAULT '',
  platform        TEXT NOT NULL DEFAULT '',
  app_version     TEXT NOT NULL DEFAULT '',
  token_hash      BLOB NOT NULL,
  status          TEXT NOT NULL DEFAULT 'active',  -- active, blocked, wiped
  incarnation     INTEGER NOT NULL DEFAULT 0,      -- fs_incarnation.no of the current one, 0 none yet
  epoch           BLOB,                            -- server epoch the device said it knows
  catalog_version INTEGER NOT NULL DEFAULT 0,
  scope_set       INTEGER NOT NULL DEFAULT 0,      -- number of the newest fs_scope_set
  pushed_groups   INTEGER NOT NULL DEFAULT 0,
  refused_groups  INTEGER NOT NULL DEFAULT 0,
  enrolled_ms     INTEGER NOT NULL DEFAULT 0,
  last_seen_ms    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX fs_device_user ON fs_device (user_id);

-- Every incarnation a device ever had, the current one included.
CREATE TABLE fs_incarnation (
  no          INTEGER PRIMARY KEY,
  device      BLOB NOT NULL,
  incarnation BLOB NOT NULL,
  user_id     BLOB NOT NULL,
  applied     INTEGER NOT NULL DEFAULT 0,  -- every group up to here has a verdict
  chain       BLOB NOT NULL,               -- chain hash at `applied`
  acked       INTEGER NOT NULL DEFAULT 0,
  settled     INTEGER NOT NULL DEFAULT 0,
  fork_last   INTEGER NOT NULL DEFAULT 0,  -- groups up to here may be repeats of an older incarnation's
  backed_up   INTEGER NOT NULL DEFAULT 0,  -- every group up to here is inside a verified backup
  backed_cid  INTEGER NOT NULL DEFAULT 0,  -- the backup that was computed for
  since_ms    INTEGER NOT NULL DEFAULT 0,
  UNIQUE (device, incarnation)
) STRICT;

-- The durable answer to every group. A row covers gseq..upto: more than one only for a run of plain
-- groups (plain 1: applied as sent, commits cid, cid+1, ...), which holds no text and no payload.
CREATE TABLE fs_verdict (
  incarnation INTEGER NOT NULL,
  gseq        INTEGER NOT NULL,
  upto        INTEGER NOT NULL,
  cid         INTEGER NOT NULL,  -- 0: nothing was committed
  head        INTEGER NOT NULL,  -- first commit whose presence in a backup proves this row is in it: its own or the next
  code        INTEGER NOT NULL,  -- verdict_code
  plain       INTEGER NOT NULL,  -- 1: part of an ok run
  marks       BLOB NOT NULL,     -- 8 bytes per group: hash of its line, little endian
  verdict     TEXT,              -- the verdict line as it was sent, where it is not plain
  payload     BLOB,              -- the group line of what was not applied
  state       INTEGER NOT NULL DEFAULT 0,  -- not applied: 0 open, 1 decided or discarded, 2 replaced
  replaced_by INTEGER NOT NULL DEFAULT 0,  -- gseq of the group that replaces this one
  later       INTEGER NOT NULL DEFAULT 0,  -- 1: decided after the device had read it: sent again
  PRIMARY KEY (incarnation, gseq)
) STRICT, WITHOUT ROWID;
CREATE INDEX fs_verdict_later ON fs_verdict (incarnation) WHERE later = 1;
CREATE INDEX fs_verdict_open ON fs_verdict (code, state) WHERE code <> 1;

-- Groups that could not be processed, and how often that was tried (intake/attempt.c). tries 0: the
-- device is taken one group at a time. Empty in ordinary life.
CREATE TABLE fs_attempt (
  device BLOB NOT NULL PRIMARY KEY,
  gseq   INTEGER NOT NULL,
  tries  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers of scopes. kind: 1 global, 2 territory, 3 region, 4 user; ref: id of the row named, x'' for global.
CREATE TABLE fs_scope (
  scope INTEGER PRIMARY KEY,
  kind  INTEGER NOT NULL,
  ref   BLOB NOT NULL,
  UNIQUE (kind, ref)
) STRICT;
INSERT INTO fs_scope (scope, kind, ref) VALUES (1, 1, x'');

-- Who sees what (STO-2). kind: 0 row, 1 leave, 2 delete. pos of a row entry is the row's ver.
CREATE TABLE fs_feed (
  scope  INTEGER NOT NULL,
  pos    INTEGER NOT NULL,
  entity INTEGER NOT NULL,  -- fs_entity.number
  id     BLOB NOT NULL,
  kind   INTEGER NOT NULL,
  PRIMARY KEY (scope, pos)
) STRICT, WITHOUT ROWID;
CREATE INDEX fs_feed_gone ON fs_feed (entity, id, scope) WHERE kind <> 0;

-- What the scope-set number in a device's token means: ascending scope numbers joined by commas.
CREATE TABLE fs_scope_set (
  device BLOB NOT NULL,
  number INTEGER NOT NULL,
  scopes TEXT NOT NULL,
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;

-- One-time enrolment codes.
CREATE TABLE fs_enrol (
  code_hash  BLOB NOT NULL PRIMARY KEY,
  user_id    BLOB NOT NULL,
  made_ms    INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  token_hash BLOB,  -- set when used
  device     BLOB
) STRICT, WITHOUT ROWID;

-- Rows that refused or held groups would have made: what refers to them is blocked.
CREATE TABLE fs_blocked (
  id          BLOB NOT NULL,
  entity      INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,
  gseq        INTEGER NOT NULL,
  PRIMARY KEY (id, entity)
) STRICT, WITHOUT ROWID;
CREATE INDEX fs_blocked_group ON fs_blocked (incarnation, gseq);

-- Ids that turned out to be another row (duplicates merged at intake or by a person).
CREATE TABLE fs_alias (
  from_id BLOB NOT NULL PRIMARY KEY,
  entity  INTEGER NOT NULL,
  to_id   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Hash chain: hash = SHA-256(hash of seq-1 || canonical fields). digest: proof of a commit's content.
CREATE TABLE fs_audit (
  seq     INTEGER PRIMARY KEY,
  at_ms   INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  action  TEXT NOT NULL,
  entity  TEXT NOT NULL,
  row_id  BLOB,
  cid     INTEGER NOT NULL,   -- 0: no commit belongs to it
  rows    INTEGER NOT NULL,
  digest  BLOB,
  detail  TEXT NOT NULL,
  hash    BLOB NOT NULL
) STRICT;
