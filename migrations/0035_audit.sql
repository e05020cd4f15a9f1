-- What was done, by whom and to what. Rows are only ever added, in the transaction of the
-- change they are about; what is read or refused has a row of its own. A Merkle log is kept
-- over them, apart from the changes, so that nobody waits for it.
CREATE TABLE audit_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    -- Name of the access key or the person; of the program for what it does by itself.
    principal text NOT NULL,
    -- Id of the access key; empty without one.
    key_id text NOT NULL,
    -- Address that the request came from; empty without one.
    peer text NOT NULL,
    request_id text NOT NULL,
    source order_source NOT NULL,
    -- As policies name it.
    operation text NOT NULL,
    -- What it was done to, as policies name it; several are parted by blanks.
    object text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('done', 'failed', 'refused', 'read', 'started')),
    -- Digest of the signed request.
    asked bytea CHECK (octet_length(asked) = 32),
    -- Digests of what was there before and of what is wanted, where the operation knows them.
    before bytea CHECK (octet_length(before) = 32),
    after bytea CHECK (octet_length(after) = 32)
);

-- The entry that is the leaf of this number.
CREATE TABLE audit_leaf (
    index bigint PRIMARY KEY CHECK (index >= 0),
    entry bigint NOT NULL UNIQUE REFERENCES audit_entry (id)
);

-- The hashes of complete subtrees, by the numbers of C2SP's tlog.
CREATE TABLE audit_node (
    index bigint PRIMARY KEY CHECK (index >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);

-- Signed checkpoints, which are published too.
CREATE TABLE audit_checkpoint (
    size bigint PRIMARY KEY CHECK (size > 0),
    at timestamptz NOT NULL,
    note text NOT NULL
);

-- Whoever owns the tables can take these away; the role that serves owns none.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% may only be added to', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_entry_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_leaf_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_leaf FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_node_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_node FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_checkpoint_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Changing an event was refused before; deleting one is, too.
CREATE TRIGGER event_kept BEFORE DELETE OR TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
