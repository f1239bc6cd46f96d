-- The bytes of attachments (sync-server/blob/blob.h). The files stand in the folder DATABASE.blobs,
-- named by hash; a row here says that the whole file was there, checked and synced.
CREATE TABLE fs_blob (
  hash      TEXT    NOT NULL PRIMARY KEY,  -- 64 hexadecimal digits
  size      INTEGER NOT NULL,
  stored_ms INTEGER NOT NULL,
  backed_ms INTEGER NOT NULL DEFAULT 0,    -- when a verified backup had it first; 0: none yet
  lost_ms   INTEGER NOT NULL DEFAULT 0     -- when a check found it missing or damaged; 0: sound
) STRICT, WITHOUT ROWID;

-- Whose device sent the whole file. A row of that person may refer to it; nobody else's can.
CREATE TABLE fs_blob_source (
  hash   TEXT    NOT NULL,
  user_id BLOB   NOT NULL,
  device BLOB    NOT NULL,
  size   INTEGER NOT NULL,
  at_ms  INTEGER NOT NULL,
  PRIMARY KEY (hash, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fs_blob_source_device ON fs_blob_source (device, at_ms);

-- Uploads that have begun and are not whole: the file part/HASH-DEVICE.
CREATE TABLE fs_blob_part (
  hash   TEXT    NOT NULL,
  device BLOB    NOT NULL,
  size   INTEGER NOT NULL,
  at_ms  INTEGER NOT NULL,
  PRIMARY KEY (hash, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX fs_blob_part_device ON fs_blob_part (device);
