-- What Terraform wants remembered, so that it plans no change where there is none.

-- When a client removed the cluster from what this server shows (DeleteCluster). It
-- stays known, its executors go on, and ImportK8sCluster or the next application on it
-- brings it back.
ALTER TABLE kubernetes_cluster ADD COLUMN removed_at timestamptz;

-- Whether who created the application named its Kubernetes namespace, or took what is
-- chosen where none is given.
ALTER TABLE application ADD COLUMN namespace_named boolean NOT NULL DEFAULT false;
UPDATE application SET namespace_named = true WHERE namespace <> 'default';
