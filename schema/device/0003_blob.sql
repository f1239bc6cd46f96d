-- The bytes of attachments (core/replica/blob.h). The files stand in the folder PATH.blobs, named by hash.
-- Step 2 of schema/device.

-- One row per file that is here, owed to the server, or wanted from it.
-- direction: 1 made here, goes up; 2 comes from the server. thumb: 1 a thumbnail.
-- state: 1 ask the server what it has, 2 send, 3 the server has it, 4 a verified backup has it too,
-- 5 wanted, 6 here, 7 known and not here. offset: bytes that arrived, at the server or here.
-- metered: 1 goes over a metered network whatever the policy. epoch: of the server that confirmed it.
CREATE TABLE fb_blob (
    hash      TEXT    NOT NULL PRIMARY KEY,
    size      INTEGER NOT NULL,
    thumb     INTEGER NOT NULL,
    direction INTEGER NOT NULL,
    state     INTEGER NOT NULL,
    offset    INTEGER NOT NULL DEFAULT 0,
    metered   INTEGER NOT NULL DEFAULT 0,
    at_ms     INTEGER NOT NULL,
    next_ms   INTEGER NOT NULL DEFAULT 0,
    tries     INTEGER NOT NULL DEFAULT 0,
    error     TEXT    NOT NULL DEFAULT '',
    epoch     BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX fb_blob_due ON fb_blob (state, thumb, at_ms);
