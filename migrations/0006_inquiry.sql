-- What the service asks of the cluster, and what an executor answers: the two meet
-- in the database only.

CREATE TABLE inquiry (
    id          uuid PRIMARY KEY,
    cluster_id  text NOT NULL REFERENCES kubernetes_cluster (id),
    namespace   text NOT NULL,
    name        text NOT NULL,
    proposal    jsonb NOT NULL,
    report      jsonb,
    asked_at    timestamptz NOT NULL,
    claimed_at  timestamptz,
    answered_at timestamptz,
    CHECK ((report IS NULL) = (answered_at IS NULL))
);

CREATE INDEX inquiry_open ON inquiry (cluster_id, asked_at) WHERE answered_at IS NULL;
CREATE INDEX inquiry_of ON inquiry (cluster_id, namespace, name, asked_at);
