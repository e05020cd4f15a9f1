-- Who is told of what becomes of orders, and what is still to be told. A row is written in
-- the transaction of the transition that it tells of.
CREATE TABLE notification_channel (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),
    kind text NOT NULL CHECK (kind IN ('webhook', 'slack', 'dingtalk')),
    -- Sealed: whoever knows the address of a chat may write into it.
    url bytea NOT NULL,
    -- Sealed: what deliveries are signed with.
    secret bytea,
    topics text[] NOT NULL CHECK (cardinality(topics) > 0),
    -- Patterns with `*`; none = all.
    namespaces text[] NOT NULL DEFAULT '{}',
    applications text[] NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL
);

CREATE TABLE notification (
    -- The order of a channel.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The same in each attempt, so that a receiver knows what it has already.
    message_id uuid NOT NULL DEFAULT gen_random_uuid(),
    channel_id uuid NOT NULL REFERENCES notification_channel (id) ON DELETE CASCADE,
    -- Null where somebody tries the channel.
    order_id uuid REFERENCES change_order (id) ON DELETE CASCADE,
    topic text NOT NULL,
    -- The order as it was then.
    state order_state,
    batch integer CHECK (batch >= 0),
    cause text NOT NULL DEFAULT '',
    happened_at timestamptz NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz,
    outcome text CHECK (outcome IN ('delivered', 'given_up')),
    error text NOT NULL DEFAULT '' CHECK (length(error) <= 500),
    ended_at timestamptz,
    CHECK ((outcome IS NULL) = (ended_at IS NULL)),
    CHECK ((order_id IS NULL) = (topic = 'test')),
    CHECK ((order_id IS NULL) = (state IS NULL) AND (state IS NULL) = (batch IS NULL))
);

CREATE INDEX notification_waiting ON notification (channel_id, id) WHERE outcome IS NULL;
CREATE INDEX notification_by_channel ON notification (channel_id, id);
CREATE INDEX notification_of_order ON notification (order_id, id);
CREATE INDEX notification_by_age ON notification (written_at);

-- Whether a name fits one of these patterns, or there are none.
CREATE FUNCTION fits_any(patterns text[], name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT patterns = '{}' OR EXISTS (
        SELECT FROM unnest(patterns) AS pattern WHERE name LIKE replace(replace(pattern, '_', '\_'), '*', '%'))
$$;
