-- An executor whose process was killed is missed at once, before its leases run out.

-- The advisory lock that a connection of the executor holds for as long as its process lives; null =
-- it holds none, and only its leases count: one of an earlier version, or behind a connection pooler.
ALTER TABLE executor ADD COLUMN presence_key bigint;
