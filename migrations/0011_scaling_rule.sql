-- Rules by which applications are scaled with their load. An enabled one is on the
-- cluster, too, as a HorizontalPodAutoscaler; the row is written first, so that none of
-- those is without its row.

CREATE TABLE scaling_rule (
    application_id uuid NOT NULL REFERENCES application (id) ON DELETE CASCADE,
    name           text NOT NULL CHECK (name <> ''),
    rule           jsonb NOT NULL,
    enabled        boolean NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    -- When it was last disabled.
    disabled_at    timestamptz,
    PRIMARY KEY (application_id, name)
);

-- Two would contradict each other.
CREATE UNIQUE INDEX scaling_rule_enabled ON scaling_rule (application_id) WHERE enabled;
