-- Uploads have a quota, and packages that nothing names any more go.

-- An upload under way, with the bytes that are set aside for it. It ends with the
-- package's own row, or without one; where its server died it expires.
CREATE TABLE package_upload (
    -- The package's id, if it comes to its end.
    id         uuid PRIMARY KEY,
    -- The access key that the quota is counted for.
    key_id     text NOT NULL REFERENCES access_key (id) ON DELETE CASCADE,
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    expires_at timestamptz NOT NULL
);

ALTER TABLE stored_package
    -- The access key that uploaded it; it may be gone by now.
    ADD COLUMN key_id text,
    -- When it was found that nothing names it any more: nobody can release or fetch
    -- it from then on, its object goes, and this row a while later.
    ADD COLUMN deleted_at timestamptz;

UPDATE stored_package SET key_id = (SELECT id FROM access_key WHERE name = uploaded_by);

CREATE INDEX upload_credential_of_key ON upload_credential (key_id, expires_at);

-- When the store is to be looked through next, by whichever server is first.
CREATE TABLE package_sweep (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    next_at timestamptz NOT NULL
);

INSERT INTO package_sweep (next_at) VALUES ('epoch');

-- The stored packages that a document names, by the address that pods fetch them from.
CREATE FUNCTION stored_packages(document jsonb) RETURNS uuid[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT found[1]::uuid), '{}')
    FROM regexp_matches(document::text, '/sluice/v1/packages/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/', 'g') AS found
$$;

CREATE INDEX release_stored_packages ON release USING gin ((stored_packages(template) || stored_packages(package))) WHERE released_at IS NOT NULL;
