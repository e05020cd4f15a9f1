-- An effect can write other objects than the Deployment: `applied` holds the
-- resourceVersion of each, {"deployment": 7, "replica_set": 9}.
ALTER TABLE change_order
    ALTER COLUMN applied TYPE jsonb
    USING CASE WHEN applied IS NOT NULL THEN jsonb_build_object('deployment', applied) END;
