-- The columns of before, which the program has emptied, go. What is sealed takes their names.
DO $$
BEGIN
    IF EXISTS (SELECT FROM access_key WHERE secret IS NOT NULL)
        OR EXISTS (SELECT FROM upload_credential WHERE secret IS NOT NULL OR token IS NOT NULL)
        OR EXISTS (SELECT FROM stored_package WHERE capability IS NOT NULL)
        OR EXISTS (SELECT FROM application WHERE resting_snapshot IS NOT NULL)
        OR EXISTS (SELECT FROM release WHERE template IS NOT NULL)
        OR EXISTS (SELECT FROM change_order WHERE target IS NOT NULL OR snapshot IS NOT NULL OR intent IS NOT NULL OR template IS NOT NULL)
        OR EXISTS (SELECT FROM config_template WHERE content IS NOT NULL)
        OR EXISTS (SELECT FROM precheck_request WHERE proposal IS NOT NULL OR report IS NOT NULL)
        OR EXISTS (SELECT FROM cluster_query WHERE answer IS NOT NULL)
        OR EXISTS (SELECT FROM object_write WHERE wanted IS NOT NULL OR outcome IS NOT NULL)
        OR EXISTS (SELECT FROM nonce WHERE outcome IS NOT NULL)
        OR EXISTS (SELECT FROM console_seal WHERE key IS NOT NULL)
    THEN
        RAISE EXCEPTION 'values of this database are not sealed yet: end the programs of before, and run `sluice migrate`'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;

ALTER TABLE access_key DROP COLUMN secret, ALTER COLUMN sealed_secret SET NOT NULL;
ALTER TABLE access_key RENAME COLUMN sealed_secret TO secret;

ALTER TABLE upload_credential
    DROP COLUMN secret, ALTER COLUMN sealed_secret SET NOT NULL,
    DROP COLUMN token, ALTER COLUMN sealed_token SET NOT NULL;
ALTER TABLE upload_credential RENAME COLUMN sealed_secret TO secret;
ALTER TABLE upload_credential RENAME COLUMN sealed_token TO token;

ALTER TABLE stored_package DROP COLUMN capability, ALTER COLUMN sealed_capability SET NOT NULL;
ALTER TABLE stored_package RENAME COLUMN sealed_capability TO capability;

ALTER TABLE application DROP COLUMN resting_snapshot;
ALTER TABLE application RENAME COLUMN sealed_resting_snapshot TO resting_snapshot;

-- Its index of packages goes with the template.
ALTER TABLE release DROP COLUMN template;
ALTER TABLE release RENAME COLUMN sealed_template TO template;
ALTER TABLE release ADD CONSTRAINT release_check CHECK (released_at IS NULL OR template IS NOT NULL);
CREATE INDEX release_packages ON release USING gin (packages) WHERE released_at IS NOT NULL;

ALTER TABLE change_order
    DROP COLUMN target, ALTER COLUMN sealed_target SET NOT NULL,
    DROP COLUMN snapshot, DROP COLUMN intent, DROP COLUMN template;
ALTER TABLE change_order RENAME COLUMN sealed_target TO target;
ALTER TABLE change_order RENAME COLUMN sealed_snapshot TO snapshot;
ALTER TABLE change_order RENAME COLUMN sealed_intent TO intent;
ALTER TABLE change_order RENAME COLUMN sealed_template TO template;
ALTER TABLE change_order ADD CONSTRAINT change_order_applied_check CHECK (applied IS NULL OR intent IS NOT NULL);

ALTER TABLE config_template DROP COLUMN content, ALTER COLUMN sealed_content SET NOT NULL;
ALTER TABLE config_template RENAME COLUMN sealed_content TO content;

ALTER TABLE precheck_request DROP COLUMN proposal, DROP COLUMN report;
ALTER TABLE precheck_request RENAME COLUMN sealed_proposal TO proposal;
ALTER TABLE precheck_request RENAME COLUMN sealed_report TO report;
ALTER TABLE precheck_request
    ADD CONSTRAINT precheck_request_answered_check CHECK ((report IS NULL) = (answered_at IS NULL));

ALTER TABLE cluster_query DROP COLUMN answer;
ALTER TABLE cluster_query RENAME COLUMN sealed_answer TO answer;
CREATE INDEX cluster_query_open ON cluster_query (cluster_id, asked_at) WHERE answer IS NULL;

ALTER TABLE object_write DROP COLUMN wanted, DROP COLUMN outcome;
ALTER TABLE object_write RENAME COLUMN sealed_wanted TO wanted;
ALTER TABLE object_write RENAME COLUMN sealed_outcome TO outcome;
ALTER TABLE object_write
    ADD CONSTRAINT object_write_answered_check CHECK ((outcome IS NULL) = (answered_at IS NULL)),
    ADD CONSTRAINT object_write_erased_check CHECK (outcome IS NULL OR wanted IS NULL);

ALTER TABLE nonce DROP COLUMN outcome;
ALTER TABLE nonce RENAME COLUMN sealed_outcome TO outcome;

ALTER TABLE console_seal DROP COLUMN key, ALTER COLUMN sealed_key SET NOT NULL;
ALTER TABLE console_seal RENAME COLUMN sealed_key TO key;

DROP FUNCTION stored_packages(jsonb);
