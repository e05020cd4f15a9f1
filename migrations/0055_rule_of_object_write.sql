-- What becomes of a scaling rule once its autoscaler is written: the rule changes in the
-- transaction that ends the object write.
ALTER TABLE object_write
    ADD COLUMN rule_of uuid REFERENCES application (id) ON DELETE CASCADE,
    ADD COLUMN rule jsonb,
    ADD CONSTRAINT object_write_rule_check CHECK ((rule_of IS NULL) = (rule IS NULL));
CREATE INDEX object_write_rule_of_idx ON object_write (rule_of) WHERE answered_at IS NULL;
