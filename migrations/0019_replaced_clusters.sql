-- An order is either seen by whoever puts another cluster behind its cluster's id, or
-- is accepted after that: it keeps the cluster's row from being replaced until then.
CREATE OR REPLACE FUNCTION take_cluster_of_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT cluster_id INTO NEW.cluster_id FROM application WHERE id = NEW.application_id;
    PERFORM 1 FROM kubernetes_cluster WHERE id = NEW.cluster_id FOR KEY SHARE;
    RETURN NEW;
END
$$;

-- What marks a store of packages as this database's: another's is not cleaned up.
ALTER TABLE package_sweep ADD COLUMN store_mark uuid NOT NULL DEFAULT gen_random_uuid();
