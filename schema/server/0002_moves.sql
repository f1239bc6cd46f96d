-- A row that only moves keeps its version, so its entry in a scope that it enters stands at another
-- position than that version: kind 3. since: of a LEAVE, where the entry stood that it replaced; a
-- device that had read the scope up to there holds the row as it still is. 0: nothing is known.
ALTER TABLE fs_feed ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
