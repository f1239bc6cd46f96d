-- When a column of policy LWW was last changed, by whom: what a later change of it is compared with
-- (protocol.md section 4.2). A column that was not changed since its row was made has no entry.
-- at_ms: the capture time as the server believes it, or the commit's time. fs_meta column_times_ms:
-- rows older than that may lack entries.
CREATE TABLE fs_column_time (
  entity  INTEGER NOT NULL,  -- fs_entity.number
  id      BLOB    NOT NULL,
  name    TEXT    NOT NULL,
  at_ms   INTEGER NOT NULL,
  user_id BLOB,              -- NULL: the administrator or a server job
  PRIMARY KEY (entity, id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO fs_meta (key, value)
  SELECT 'column_times_ms', CAST(CAST(coalesce(max(at_ms), 0) AS TEXT) AS BLOB) FROM fs_commit;
