-- What is to be written on the cluster beside an application's Deployment: Services
-- and the like. The service cannot reach the cluster; an executor does it for it, and
-- the two meet in this table.

ALTER TYPE order_kind ADD VALUE 'errand';

CREATE TABLE errand (
    id          uuid PRIMARY KEY,
    cluster_id  text NOT NULL REFERENCES kubernetes_cluster (id),
    namespace   text NOT NULL,
    -- What is wanted; wiped with the answer, since it may hold what is secret.
    wanted      jsonb NOT NULL,
    -- The change order to record once it is done; none = none is.
    record      jsonb,
    asked_at    timestamptz NOT NULL,
    claimed_at  timestamptz,
    -- The fencing token of the newest claim, and how many there were.
    generation  bigint NOT NULL DEFAULT 0,
    attempts    integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- What was written, or why nothing was.
    outcome     jsonb,
    answered_at timestamptz,
    CHECK ((outcome IS NULL) = (answered_at IS NULL)),
    CHECK ((claimed_at IS NULL) = (attempts = 0)),
    CHECK (outcome IS NULL OR wanted = 'null')
);

CREATE INDEX errand_open ON errand (cluster_id, asked_at) WHERE answered_at IS NULL;
