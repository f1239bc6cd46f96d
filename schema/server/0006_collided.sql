-- A refused group whose new row had the id of another device's row (two sources of randomness that gave
-- the same): what the same device wrote after it means its own row, not that one (protocol.md 4.2).
ALTER TABLE fs_blocked ADD COLUMN collided INTEGER NOT NULL DEFAULT 0;
CREATE INDEX fs_blocked_collided ON fs_blocked (incarnation) WHERE collided = 1;
