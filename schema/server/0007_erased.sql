-- What the row that shows a held group (held_group) is called (held_row_id). None: held by an earlier version,
-- which noted it only where a person's data was erased from the payload; else author and payload say so.
ALTER TABLE fs_verdict ADD COLUMN held_row BLOB;
