-- Time during which an order could not go on, since nothing of its cluster could be seen or
-- nothing could be written to it: it does not count against its pods. And what its message
-- was before it said so.
ALTER TABLE change_order
    ADD COLUMN outage_since timestamptz,
    ADD COLUMN outage_ms bigint NOT NULL DEFAULT 0 CHECK (outage_ms >= 0),
    ADD COLUMN message_before_outage text;

-- This installation: what its writes to a cluster say beside the fencing token.
CREATE TABLE installation (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one)
);
INSERT INTO installation DEFAULT VALUES;
