-- Orders are held off before they begin: until somebody else approves them, and while a freeze window is
-- closed. A program of before this does not hold them: make the first rule once all programs are new.
ALTER TYPE order_state ADD VALUE 'waiting_approval' AFTER 'ready';

CREATE TABLE hold_rule (
    name text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 63),
    held_by text NOT NULL CHECK (held_by IN ('approval', 'freeze')),
    -- Why there is the rule.
    reason text NOT NULL CHECK (length(reason) <= 200),
    -- Patterns with `*`; none = all.
    namespaces text[] NOT NULL,
    applications text[] NOT NULL,
    -- What orders do that it holds off.
    kinds text[] NOT NULL CHECK (cardinality(kinds) > 0),
    -- Of a freeze window: its time zone and its periods.
    calendar jsonb,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CHECK ((calendar IS NOT NULL) = (held_by = 'freeze'))
);

ALTER TABLE change_order
    -- Whether a rule fits it. Once it has begun none does.
    ADD COLUMN may_be_held boolean NOT NULL DEFAULT false,
    -- What it was found to wait for, and when that ends by itself.
    ADD COLUMN held_by text CHECK (held_by IN ('approval', 'freeze')),
    ADD COLUMN held_until timestamptz,
    ADD COLUMN approved_by text,
    ADD COLUMN lifted_by text,
    -- How often people said something about it, or rules changed.
    ADD COLUMN hold_changes integer NOT NULL DEFAULT 0,
    -- The identity provider's name for the person who ordered it; null = nobody signed in.
    ADD COLUMN created_by_person text,
    -- The principal with whose key it was ordered; null where that is not known.
    ADD COLUMN created_by_principal text;

-- Whether a rule fits an order that does this to this application.
CREATE FUNCTION fits_hold_rule(done text, application uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM hold_rule r, application a
        WHERE a.id = application AND done = ANY (r.kinds)
            AND fits_any(r.namespaces, a.namespace) AND fits_any(r.applications, a.name))
$$;

-- One that goes on from a batch was held off, where it was to be, before its first.
CREATE FUNCTION hold_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.may_be_held := fits_hold_rule(NEW.kind::text, NEW.application_id);
    RETURN NEW;
END $$;
CREATE TRIGGER change_order_held BEFORE INSERT ON change_order FOR EACH ROW
    WHEN (NEW.batch = 0 AND NEW.kind NOT IN ('rollback', 'deploy_version', 'object_write')) EXECUTE FUNCTION hold_order();
