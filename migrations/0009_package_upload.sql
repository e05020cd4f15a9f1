-- Uploading packages: credentials that live for an hour, and what came of them.

CREATE TABLE upload_credential (
    id uuid PRIMARY KEY,
    -- The access key that it was given to: it is good for nothing without that key.
    key_id text NOT NULL REFERENCES access_key (id) ON DELETE CASCADE,
    -- Both needed in the clear: uploads are signed with the one and show the other.
    secret text NOT NULL,
    token text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE stored_package (
    -- The object's name in the store.
    id uuid PRIMARY KEY,
    -- What the client calls it; it begins with the credential's own prefix.
    object_key text NOT NULL UNIQUE,
    bytes bigint NOT NULL CHECK (bytes >= 0),
    md5 text NOT NULL CHECK (md5 ~ '^[0-9a-f]{32}$'),
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    -- Who knows it may fetch the package: it is in the pods' template.
    capability text NOT NULL,
    -- Name of the access key.
    uploaded_by text NOT NULL,
    created_at timestamptz NOT NULL
);
