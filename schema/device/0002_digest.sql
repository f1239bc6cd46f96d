-- The digest of the base rows (protocol.md section 6.5): buckets holds 256 numbers of 8 bytes, the most
-- significant first. No row: not counted yet.
CREATE TABLE fb_digest (
    n       INTEGER NOT NULL PRIMARY KEY CHECK (n = 1),
    rows    INTEGER NOT NULL,
    buckets BLOB NOT NULL
) STRICT;

-- Earlier versions did not note which version the server gave to the device's own rows: one download
-- from the start brings them.
DELETE FROM fb_stage;
DELETE FROM fb_meta WHERE key IN ('token', 'token_staged');
