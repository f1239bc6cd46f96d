-- What the row that shows a held group (held_group) is called where a person's data was erased from the
-- payload: ordinarily the payload's bytes say so (sync-server/intake/held_record.c).
ALTER TABLE fs_verdict ADD COLUMN held_row BLOB;
