-- Who may call, and which changing requests were answered already.

CREATE TABLE access_key (
    id text PRIMARY KEY,
    -- Needed in the clear: requests are signed with it.
    secret text NOT NULL,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL
);

CREATE TABLE nonce (
    key_id text NOT NULL REFERENCES access_key (id) ON DELETE CASCADE,
    nonce text NOT NULL,
    -- Digest of the signed request: the same nonce with another one is refused.
    digest text NOT NULL,
    -- What the first answer said.
    outcome jsonb NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (key_id, nonce)
);

CREATE INDEX nonce_seen ON nonce (seen_at);

-- The executors at work, by their heartbeats.
CREATE TABLE executor (
    holder text PRIMARY KEY,
    seen_at timestamptz NOT NULL,
    cluster_reachable boolean NOT NULL
);
