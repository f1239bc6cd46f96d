-- A held group that was captured over a base of an earlier epoch (request key old): what it saw may be lost
-- with its number when somebody accepts it (protocol.md 10.7).
ALTER TABLE fs_verdict ADD COLUMN old_base INTEGER NOT NULL DEFAULT 0;
