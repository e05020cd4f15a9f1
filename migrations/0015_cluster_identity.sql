-- Which cluster: known by its identity, and named by everything that is work on it.

-- The UID of its namespace kube-system, once an executor saw it. One cluster has one id.
ALTER TABLE kubernetes_cluster ADD COLUMN identity text CHECK (identity <> '');
CREATE UNIQUE INDEX kubernetes_cluster_identity ON kubernetes_cluster (identity);

-- Those at work give another sign of life within seconds.
DELETE FROM executor;
ALTER TABLE executor
    ADD COLUMN cluster_id text NOT NULL REFERENCES kubernetes_cluster (id),
    -- Why it drives nothing; none = it may.
    ADD COLUMN trouble text;

-- Questions about releases name the cluster from now on; those that are open are asked again.
DELETE FROM inquiry;

-- The application's cluster once more, so that due orders are found by it. The reference
-- keeps the two from ever being different.
ALTER TABLE application ADD CONSTRAINT application_cluster UNIQUE (id, cluster_id);
ALTER TABLE change_order ADD COLUMN cluster_id text;
UPDATE change_order SET cluster_id = application.cluster_id FROM application WHERE application.id = change_order.application_id;
ALTER TABLE change_order
    ALTER COLUMN cluster_id SET NOT NULL,
    DROP CONSTRAINT change_order_application_id_fkey,
    ADD CONSTRAINT change_order_application_fkey FOREIGN KEY (application_id, cluster_id) REFERENCES application (id, cluster_id) ON DELETE CASCADE;

CREATE FUNCTION take_cluster_of_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT cluster_id INTO NEW.cluster_id FROM application WHERE id = NEW.application_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER take_cluster_of_application BEFORE INSERT ON change_order FOR EACH ROW EXECUTE FUNCTION take_cluster_of_application();

DROP INDEX change_order_due;
CREATE INDEX change_order_due ON change_order (cluster_id, run_after) WHERE finished_at IS NULL OR settling;
