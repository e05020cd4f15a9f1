-- What is read and noted beside releases: looks at applications on the cluster,
-- EDAS namespaces, and tags.

-- A look that a caller waits for. Nothing stands on it, so it may be lost in a
-- crash; it goes as soon as it was read.
CREATE UNLOGGED TABLE sighting (
    id         uuid PRIMARY KEY,
    cluster_id text NOT NULL REFERENCES kubernetes_cluster (id),
    namespace  text NOT NULL,
    name       text NOT NULL,
    wanted     jsonb NOT NULL,
    asked_at   timestamptz NOT NULL,
    claimed_at timestamptz,
    -- What was seen, or why nothing was.
    seen       jsonb
);

CREATE INDEX sighting_open ON sighting (cluster_id, asked_at) WHERE seen IS NULL;

-- EDAS namespaces that somebody described: `<region>:<name>`, as applications name theirs.
CREATE TABLE logical_region (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> ''),
    title       text NOT NULL CHECK (title <> ''),
    description text NOT NULL,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL
);

CREATE TABLE application_tag (
    application_id uuid NOT NULL REFERENCES application (id) ON DELETE CASCADE,
    key            text NOT NULL CHECK (key <> ''),
    value          text NOT NULL,
    PRIMARY KEY (application_id, key)
);
