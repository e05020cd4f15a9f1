-- Old orders and versions are deleted, as long as somebody wants that: the record of events no longer
-- grows for ever.

-- When the next look is due. The first comes a day after this, so that whoever upgrades can say before
-- that nothing is to be deleted.
CREATE TABLE retention (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    next_at timestamptz NOT NULL
);
INSERT INTO retention (next_at) VALUES (now() + interval '1 day');

-- What is on record of an application is read, and whether an order names a version.
CREATE INDEX change_order_release ON change_order (release_id) WHERE release_id IS NOT NULL;
CREATE INDEX release_of_application ON release (application_id);

-- Events are deleted by one function only, which deletes those of orders that ended long ago. Row by
-- row: deleting an order that has no events deletes none, and is no offence.
CREATE FUNCTION keep_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The setting alone proves nothing, since everybody may set it. What comes by way of another table
    -- runs as the owner too, but deeper.
    IF pg_trigger_depth() = 1
        AND current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID)
        AND current_setting('sluice.forgets_orders', true) = 'on'
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% may only be added to', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER event_kept ON event;
CREATE TRIGGER event_kept BEFORE DELETE ON event FOR EACH ROW EXECUTE FUNCTION keep_event();
CREATE TRIGGER event_not_emptied BEFORE TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Deletes orders with their batches, notifications and events, as whoever owns the tables. Only those that
-- ended more than 30 days ago by this server's clock: whoever serves cannot hide with it what was done lately.
CREATE FUNCTION forget_orders(wanted uuid[], OUT orders bigint, OUT events bigint)
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ids uuid[];
BEGIN
    SELECT array_agg(id) INTO ids FROM (
        SELECT id FROM change_order
        WHERE id = ANY (wanted) AND finished_at < now() - interval '30 days' AND NOT finalizing
        ORDER BY id FOR UPDATE
    ) AS old;
    PERFORM set_config('sluice.forgets_orders', 'on', true);
    DELETE FROM event WHERE order_id = ANY (ids);
    GET DIAGNOSTICS events = ROW_COUNT;
    PERFORM set_config('sluice.forgets_orders', '', true);
    DELETE FROM change_order WHERE id = ANY (ids);
    GET DIAGNOSTICS orders = ROW_COUNT;
END $$;
REVOKE ALL ON FUNCTION forget_orders(uuid[]) FROM PUBLIC;

-- It finds the tables of this schema, and none that its caller puts in their place.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION forget_orders(uuid[]) SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$;

-- The migration that a program must know to work with this schema. A later one that programs of before cannot
-- work with writes its own number here; programs that know it start on whatever came after.
ALTER TABLE installation ADD COLUMN programs_since bigint NOT NULL DEFAULT 60;
