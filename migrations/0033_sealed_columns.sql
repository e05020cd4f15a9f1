-- Values that may be secrets are sealed by the program, which has the keys: the database
-- holds none. This makes room for what is sealed. The program fills it, some rows at a
-- time, and empties the columns of before; migration 0034 then drops those.

-- The keys that values of this database are sealed with. A program that lacks one of them
-- does not start. An id is a digest of its key.
CREATE TABLE sealing_key (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    first_used_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE access_key ADD COLUMN sealed_secret bytea, ALTER COLUMN secret DROP NOT NULL;

ALTER TABLE upload_credential
    ADD COLUMN sealed_secret bytea, ALTER COLUMN secret DROP NOT NULL,
    ADD COLUMN sealed_token bytea, ALTER COLUMN token DROP NOT NULL;

ALTER TABLE stored_package ADD COLUMN sealed_capability bytea, ALTER COLUMN capability DROP NOT NULL;

-- What SQL looks for in a document is kept beside it: the ids of the packages that it
-- names, and numbers of pods. Neither is a secret.
ALTER TABLE application
    ADD COLUMN sealed_resting_snapshot bytea,
    ADD COLUMN resting_packages uuid[] NOT NULL DEFAULT '{}',
    -- The number of pods to go back to, if it changed since.
    ADD COLUMN resting_replicas integer;

ALTER TABLE release
    ADD COLUMN sealed_template bytea,
    ADD COLUMN packages uuid[] NOT NULL DEFAULT '{}',
    DROP CONSTRAINT release_check;

UPDATE release SET packages = stored_packages(package) WHERE package IS NOT NULL;

ALTER TABLE change_order
    ADD COLUMN sealed_target bytea, ALTER COLUMN target DROP NOT NULL,
    ADD COLUMN sealed_snapshot bytea,
    ADD COLUMN sealed_intent bytea,
    ADD COLUMN sealed_template bytea,
    ADD COLUMN packages uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN replicas integer,
    ADD COLUMN replicas_before integer,
    DROP CONSTRAINT change_order_check3;

ALTER TABLE config_template ADD COLUMN sealed_content bytea, ALTER COLUMN content DROP NOT NULL;

ALTER TABLE precheck_request
    ADD COLUMN sealed_proposal bytea, ALTER COLUMN proposal DROP NOT NULL,
    ADD COLUMN sealed_report bytea,
    DROP CONSTRAINT precheck_request_check;

ALTER TABLE cluster_query ADD COLUMN sealed_answer bytea;

ALTER TABLE object_write
    ADD COLUMN sealed_wanted bytea, ALTER COLUMN wanted DROP NOT NULL,
    ADD COLUMN sealed_outcome bytea,
    DROP CONSTRAINT object_write_check,
    DROP CONSTRAINT object_write_check2;

ALTER TABLE nonce ADD COLUMN sealed_outcome bytea, ALTER COLUMN outcome DROP NOT NULL;

ALTER TABLE console_seal ADD COLUMN sealed_key bytea, ALTER COLUMN key DROP NOT NULL;
