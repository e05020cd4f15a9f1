-- Programs that drive change orders in some namespaces only.

-- The namespaces whose applications are released, as an executor was told when it saw the cluster
-- last; none = all. The service refuses orders elsewhere by it.
ALTER TABLE kubernetes_cluster ADD COLUMN served_namespaces text[];

-- What an executor warns of: rights that are missing or too much, namespaces that it cannot see.
ALTER TABLE executor ADD COLUMN warnings text[] NOT NULL DEFAULT '{}';
