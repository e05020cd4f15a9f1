-- The entry of the audit of an object write, which whoever ends it puts on record with what
-- came of it: the client that asked for it may be gone by then. Null where its entry is
-- another one's.
ALTER TABLE object_write ADD COLUMN entry jsonb;
