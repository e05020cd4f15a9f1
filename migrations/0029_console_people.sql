-- People who sign in at the console through an identity provider. Their session is one of an
-- access key still, and says besides who they are.
ALTER TABLE console_session
    ADD COLUMN person_subject text CHECK (octet_length(person_subject) BETWEEN 1 AND 255),
    ADD COLUMN person_name text CHECK (length(person_name) BETWEEN 1 AND 100),
    ADD CONSTRAINT console_session_person CHECK ((person_subject IS NULL) = (person_name IS NULL));

-- With this, all servers of this database prove the sign-ins that they began, which browsers
-- keep. Who reads it can sign in nowhere.
CREATE TABLE console_seal (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
