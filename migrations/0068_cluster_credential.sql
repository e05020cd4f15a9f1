-- Servers drive every cluster whose kubeconfig is kept here, besides their own.

CREATE TABLE cluster_credential (
    cluster_id text PRIMARY KEY REFERENCES kubernetes_cluster (id),
    -- Sealed. It holds everything itself: it names no file and no program.
    kubeconfig bytea NOT NULL,
    -- Another one whenever the kubeconfig or the namespaces are: servers see by it what to read again.
    version uuid NOT NULL DEFAULT gen_random_uuid(),
    -- What people see of the kubeconfig: the address of the API server.
    server text NOT NULL,
    -- The namespaces whose applications are released; null = all.
    served_namespaces text[],
    added_at timestamptz NOT NULL,
    rotated_at timestamptz
);

-- An operator removed the cluster: requests do not know it, and its identity may get another id. Null
-- again once a program starts with its id, or it is added.
ALTER TABLE kubernetes_cluster ADD COLUMN forgotten_at timestamptz;

