-- Deployments that an order released which this database does not know: it was restored from
-- a backup. Executors write it anew at each start.
CREATE TABLE moved_on (
    cluster_id text NOT NULL REFERENCES kubernetes_cluster (id),
    namespace text NOT NULL,
    name text NOT NULL,
    order_id uuid NOT NULL,
    image text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (cluster_id, namespace, name)
);
