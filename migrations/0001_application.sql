-- Applications, the cluster they run on, and their history.

CREATE TABLE kubernetes_cluster (
    id text PRIMARY KEY,
    version text NOT NULL DEFAULT '',
    namespaces text[] NOT NULL DEFAULT '{}',
    -- When an executor last saw the cluster answer.
    seen_at timestamptz
);

CREATE TABLE application (
    id uuid PRIMARY KEY,
    cluster_id text NOT NULL REFERENCES kubernetes_cluster (id),
    namespace text NOT NULL,
    name text NOT NULL,
    logical_region text NOT NULL,
    description text NOT NULL,
    owner text NOT NULL,
    created_at timestamptz NOT NULL,
    -- Mirrored from the Deployment by the executor.
    replicas integer NOT NULL CHECK (replicas >= 0),
    ready_replicas integer NOT NULL DEFAULT 0 CHECK (ready_replicas >= 0),
    -- The version that was last released to its end.
    release_id uuid,
    -- The Deployment as it was before an order that left it half way.
    resting_snapshot jsonb,
    UNIQUE (cluster_id, namespace, name)
);

CREATE TABLE release (
    id uuid PRIMARY KEY,
    application_id uuid NOT NULL REFERENCES application (id) ON DELETE CASCADE,
    version text NOT NULL CHECK (version <> ''),
    image text NOT NULL,
    description text NOT NULL,
    created_at timestamptz NOT NULL,
    -- The pod template, with the API server's defaults, once it was applied.
    template jsonb,
    -- minReadySeconds that belongs to the version.
    min_ready_seconds integer,
    -- When it was last released to its end; only then it is part of the history.
    released_at timestamptz,
    CHECK (released_at IS NULL OR template IS NOT NULL)
);

CREATE INDEX release_history ON release (application_id, created_at DESC) WHERE released_at IS NOT NULL;

ALTER TABLE application ADD CONSTRAINT application_release_id_fkey FOREIGN KEY (release_id) REFERENCES release (id) ON DELETE SET NULL;
