-- Change orders: the order is the job. Lease, fence and intent are columns here.

CREATE TYPE order_kind AS ENUM ('create', 'deploy', 'deploy_version', 'rollback');

CREATE TYPE order_state AS ENUM (
    'ready', 'running', 'waiting_confirmation', 'waiting_interval',
    'succeeded', 'failed', 'aborted', 'system_failed'
);

CREATE TYPE order_step AS ENUM (
    'start', 'create', 'surge', 'shrink', 'hold', 'rearm', 'return', 'finish', 'freeze', 'done'
);

-- One sequence for all orders: a fencing token is newer than every other that
-- was handed out before, also than those of earlier orders of the application.
CREATE SEQUENCE fencing_token AS bigint;

CREATE TABLE change_order (
    id uuid PRIMARY KEY,
    application_id uuid NOT NULL REFERENCES application (id) ON DELETE CASCADE,
    kind order_kind NOT NULL,
    state order_state NOT NULL DEFAULT 'ready',
    step order_step NOT NULL DEFAULT 'start',
    step_since timestamptz NOT NULL,
    batch integer NOT NULL DEFAULT 0 CHECK (batch >= 0),
    confirmed integer NOT NULL DEFAULT 1 CHECK (confirmed >= 0),
    strategy jsonb NOT NULL,
    target jsonb NOT NULL,
    snapshot jsonb,
    release_id uuid REFERENCES release (id) ON DELETE SET NULL,
    -- The order that this one takes back.
    undoes uuid UNIQUE REFERENCES change_order (id) ON DELETE CASCADE,
    description text NOT NULL,
    message text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    source text NOT NULL,
    finished_at timestamptz,
    -- The change decided last, and the Deployment's resourceVersion once it was made.
    intent jsonb,
    applied bigint,
    -- The template as the API server stored it.
    template jsonb,
    -- A final order whose Deployment still has to be brought to rest.
    settling boolean NOT NULL DEFAULT false,
    -- The lease: who works on it, until when, and under which fencing token.
    lease_holder text,
    lease_expires_at timestamptz,
    generation bigint NOT NULL DEFAULT 0,
    -- When it is due; infinity while only a person can go on with it.
    run_after timestamptz NOT NULL,
    CHECK ((state IN ('succeeded', 'failed', 'aborted', 'system_failed')) = (finished_at IS NOT NULL)),
    CHECK ((lease_holder IS NULL) = (lease_expires_at IS NULL)),
    CHECK (NOT settling OR finished_at IS NOT NULL),
    CHECK (applied IS NULL OR intent IS NOT NULL),
    CHECK ((kind = 'rollback') = (undoes IS NOT NULL))
);

-- One open order per application.
CREATE UNIQUE INDEX change_order_open ON change_order (application_id) WHERE finished_at IS NULL;

CREATE INDEX change_order_due ON change_order (run_after) WHERE finished_at IS NULL OR settling;
CREATE INDEX change_order_recent ON change_order (application_id, created_at DESC);
CREATE INDEX change_order_settling ON change_order (application_id) WHERE settling;

-- A final state is never left.
CREATE FUNCTION keep_final_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL AND (NEW.state <> OLD.state OR NEW.finished_at IS DISTINCT FROM OLD.finished_at) THEN
        RAISE EXCEPTION 'the change order % ended as % and cannot become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER keep_final_state BEFORE UPDATE ON change_order FOR EACH ROW EXECUTE FUNCTION keep_final_state();

CREATE TABLE batch (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES change_order (id) ON DELETE CASCADE,
    index integer NOT NULL CHECK (index >= 0),
    state order_state NOT NULL DEFAULT 'ready',
    -- Pods of the new version when it is done.
    target integer NOT NULL CHECK (target >= 0),
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz NOT NULL,
    message text NOT NULL DEFAULT '',
    -- The pods it brought, as last seen.
    pods jsonb NOT NULL DEFAULT '[]',
    UNIQUE (order_id, index),
    CHECK ((state IN ('succeeded', 'failed', 'aborted', 'system_failed')) = (finished_at IS NOT NULL))
);

-- Everything that happens, in order. Only ever added to.
CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    application_id uuid NOT NULL REFERENCES application (id) ON DELETE CASCADE,
    order_id uuid REFERENCES change_order (id) ON DELETE CASCADE,
    -- An access key's name, or `sluice` for what happens by itself.
    actor text NOT NULL,
    kind text NOT NULL,
    cause text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX event_of_order ON event (order_id, id);

CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are only ever added' USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER refuse_event_change BEFORE UPDATE ON event FOR EACH ROW EXECUTE FUNCTION refuse_event_change();
