-- Rows by the exact set of scopes they are in, and the digest of each such class (protocol.md section
-- 6.5): the digest of a device is the sum of the classes that its scopes meet. total: sum of the 256
-- buckets; buckets: 256 numbers of 8 bytes, the most significant first. cid: the last commit that
-- changed it. fs_meta digest_built says that the table counts every row of fs_feed.
CREATE TABLE fs_scope_class (
  class   INTEGER PRIMARY KEY,
  scopes  TEXT NOT NULL UNIQUE,  -- ascending scope numbers joined by commas
  cid     INTEGER NOT NULL,
  rows    INTEGER NOT NULL,
  total   INTEGER NOT NULL,
  buckets BLOB NOT NULL
) STRICT;
CREATE INDEX fs_scope_class_cid ON fs_scope_class (cid);

-- Requests of a device whose rows were not what their digest must be, and the last one's time.
ALTER TABLE fs_device ADD COLUMN digest_faults INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fs_device ADD COLUMN digest_fault_ms INTEGER NOT NULL DEFAULT 0;
