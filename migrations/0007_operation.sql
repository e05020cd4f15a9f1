-- The life of an application beside its releases: scaled, stopped, started again,
-- restarted, given other amounts of processor and memory, deleted.

ALTER TYPE order_kind ADD VALUE 'scale';
ALTER TYPE order_kind ADD VALUE 'stop';
ALTER TYPE order_kind ADD VALUE 'start';
ALTER TYPE order_kind ADD VALUE 'restart';
ALTER TYPE order_kind ADD VALUE 'configure';
ALTER TYPE order_kind ADD VALUE 'delete';

ALTER TYPE order_step ADD VALUE 'resize';
ALTER TYPE order_step ADD VALUE 'delete';

ALTER TABLE application
    -- How many pods it had when it was stopped; none = it was not.
    ADD COLUMN replicas_before_stop integer CHECK (replicas_before_stop > 0),
    -- The access key's name that created it; the owner may become somebody else.
    ADD COLUMN created_by text,
    ADD COLUMN email text NOT NULL DEFAULT '',
    ADD COLUMN phone text NOT NULL DEFAULT '',
    -- When it was deleted: what it released, and its orders, stay on record.
    ADD COLUMN deleted_at timestamptz,
    DROP CONSTRAINT application_cluster_id_namespace_name_key;

UPDATE application SET created_by = owner;
ALTER TABLE application ALTER COLUMN created_by SET NOT NULL;

-- The name of an application that was deleted is free again.
CREATE UNIQUE INDEX application_name ON application (cluster_id, namespace, name) WHERE deleted_at IS NULL;
