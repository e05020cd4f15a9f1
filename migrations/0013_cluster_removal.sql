-- When a client removed the cluster from what this server shows (DeleteCluster). It
-- stays known, its executors go on, and ImportK8sCluster brings it back.

ALTER TABLE kubernetes_cluster ADD COLUMN removed_at timestamptz;
