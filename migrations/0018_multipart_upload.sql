-- Packages that are uploaded in parts.

CREATE TABLE multipart_upload (
    -- What clients name it by.
    id         uuid PRIMARY KEY,
    -- The access key that the quota is counted for; it may be gone by now.
    key_id     text NOT NULL,
    -- What the client calls the package.
    object_key text NOT NULL,
    -- Bytes of its parts, with what is set aside for those on their way.
    bytes      bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    created_at timestamptz NOT NULL,
    -- When its credential ends: nobody can go on with it from then on.
    expires_at timestamptz NOT NULL,
    -- Who is putting the package together, and for how long at the least.
    held_by    uuid,
    held_until timestamptz,
    -- When it was completed or given up: its parts go.
    ended_at   timestamptz,
    -- What the completion answered; none where it was given up.
    etag       text,
    crc64      bigint,
    CHECK ((etag IS NULL) = (crc64 IS NULL)),
    CHECK (etag IS NULL OR ended_at IS NOT NULL)
);

-- A part, from the moment its bytes are awaited until its object is gone.
CREATE TABLE upload_part (
    -- The object's name in the store.
    id         uuid PRIMARY KEY,
    upload_id  uuid NOT NULL REFERENCES multipart_upload (id),
    number     integer NOT NULL CHECK (number BETWEEN 1 AND 10000),
    -- Its size; while it comes, what is set aside for it.
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    -- None of these while it comes.
    md5        text CHECK (md5 ~ '^[0-9a-f]{32}$'),
    crc64      bigint,
    written_at timestamptz,
    -- When it is given up where its server died while it came.
    expires_at timestamptz NOT NULL,
    -- Whether another was sent with its number afterwards: it goes.
    replaced   boolean NOT NULL DEFAULT false,
    CHECK ((md5 IS NULL) = (written_at IS NULL) AND (crc64 IS NULL) = (written_at IS NULL))
);

-- A number stands for one part.
CREATE UNIQUE INDEX upload_part_number ON upload_part (upload_id, number) WHERE written_at IS NOT NULL AND NOT replaced;

CREATE INDEX upload_part_coming ON upload_part (upload_id) WHERE written_at IS NULL;
CREATE INDEX upload_part_replaced ON upload_part (upload_id) WHERE replaced;
