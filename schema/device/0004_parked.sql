-- Rows that left this device while groups that no one has judged need them (core/replica/parked.c): as
-- the server last showed them, out of every list, gone with the last such group.
-- Step 3 of schema/device.

-- body: a before-image, '*' (core/replica/undo.c). left_ms: 0 while a promotion is at work.
-- gseq: the newest group that needs the row.
CREATE TABLE fb_parked (
    entity  TEXT    NOT NULL,
    id      BLOB    NOT NULL,
    left_ms INTEGER NOT NULL,
    gseq    INTEGER NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (entity, id)
) STRICT, WITHOUT ROWID;
