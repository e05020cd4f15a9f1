-- People at the console. A session belongs to an access key, and ends with it. The cookie
-- holds 256 random bits, of which only the SHA-256 is here: who reads this table can sign
-- in nowhere.
CREATE TABLE console_session (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    key_id text NOT NULL REFERENCES access_key (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    peer text NOT NULL CHECK (length(peer) <= 64),
    agent text NOT NULL CHECK (length(agent) <= 200)
);

CREATE INDEX console_session_by_key ON console_session (key_id);

-- Links that sign somebody in once, for a minute.
CREATE TABLE console_link (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    key_id text NOT NULL REFERENCES access_key (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

-- The orders of all applications, newest first, page by page.
CREATE INDEX change_order_by_time ON change_order (created_at DESC, id DESC);
