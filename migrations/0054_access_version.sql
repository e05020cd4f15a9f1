-- Another value after each change of who may do what, so that servers can keep what they
-- read of keys: they look here twice a second, whatever became of a notification. A value
-- never comes again, also in a database that was restored.
CREATE TABLE access_version (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    version uuid NOT NULL
);
INSERT INTO access_version (version) VALUES (gen_random_uuid());

CREATE FUNCTION note_access_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE access_version SET version = gen_random_uuid();
    PERFORM pg_notify('sluice_access', '');
    RETURN NULL;
END $$;

-- As the last thing of a transaction: nobody waits for this row while holding it.
CREATE CONSTRAINT TRIGGER access_key_changes
    AFTER INSERT OR DELETE OR UPDATE OF id, secret, name, enabled, principal_id, expires_at, schemes, networks ON access_key
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_access_change();
CREATE CONSTRAINT TRIGGER principal_changes
    AFTER INSERT OR DELETE OR UPDATE ON principal
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_access_change();
CREATE CONSTRAINT TRIGGER principal_grant_changes
    AFTER INSERT OR DELETE OR UPDATE ON principal_grant
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_access_change();
CREATE CONSTRAINT TRIGGER policy_changes
    AFTER INSERT OR DELETE OR UPDATE ON policy
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_access_change();
