-- Who may do what. A principal is a person or a program; it has up to two access keys that
-- may be used, so that one can take the other's place without a gap. What it may do is what
-- is granted to it: roles with a scope, and policies in the JSON of RAM.

CREATE TYPE principal_kind AS ENUM ('person', 'program');
CREATE TYPE access_role AS ENUM ('reader', 'deployer', 'operator', 'admin');

CREATE TABLE principal (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE CHECK (name <> ''),
    kind principal_kind NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE policy (
    name text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9-]{1,128}$'),
    -- As it was written, so that it is shown as it was written.
    document text NOT NULL CHECK (octet_length(document) <= 6144),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE principal_grant (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    principal_id uuid NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    policy_name text REFERENCES policy (name),
    role access_role,
    -- Of a role: what it is for. Both may have * in them.
    namespace text NOT NULL DEFAULT '*',
    application text NOT NULL DEFAULT '*',
    -- Nobody chose it: it stands for the time when every key might do everything.
    assumed boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    CHECK (num_nonnulls(policy_name, role) = 1)
);

CREATE INDEX principal_grant_of ON principal_grant (principal_id);
CREATE INDEX principal_grant_by_policy ON principal_grant (policy_name);

-- Keys of before might do everything, and may until somebody says what they are for.
INSERT INTO principal (name, kind, created_at) SELECT name, 'program', created_at FROM access_key;
INSERT INTO principal_grant (principal_id, role, assumed, created_at) SELECT id, 'admin', true, created_at FROM principal;

ALTER TABLE access_key
    ADD COLUMN principal_id uuid REFERENCES principal (id) ON DELETE CASCADE,
    ADD COLUMN expires_at timestamptz,
    -- Noted once a minute at most.
    ADD COLUMN last_used_at timestamptz,
    -- Signature schemes that it may be used with, and networks that it may be used from;
    -- empty = all.
    ADD COLUMN schemes text[] NOT NULL DEFAULT '{}' CHECK (schemes <@ ARRAY['acs3-hmac-sha256', 'hmac-sha1']),
    ADD COLUMN networks text[] NOT NULL DEFAULT '{}' CHECK (cardinality(networks) <= 50);
UPDATE access_key k SET principal_id = p.id FROM principal p WHERE p.name = k.name;
ALTER TABLE access_key ALTER COLUMN principal_id SET NOT NULL;

CREATE INDEX access_key_of ON access_key (principal_id);

-- Whether a list may show an application: the patterns are those of LIKE, and none of the
-- allowed ones at all (null) means that everything may be shown.
CREATE FUNCTION may_show(namespace text, name text, id uuid, allowed text[], denied text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT allowed IS NULL OR (
        ('namespace/' || namespace || '/application/' || name LIKE ANY (allowed)
            OR 'namespace/' || namespace || '/application/' || id::text LIKE ANY (allowed))
        AND NOT ('namespace/' || namespace || '/application/' || name LIKE ANY (denied)
            OR 'namespace/' || namespace || '/application/' || id::text LIKE ANY (denied)))
$$;

-- What is granted to a principal, as the program reads it.
CREATE FUNCTION grants_of(principal uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'policy', CASE WHEN y.name IS NOT NULL THEN jsonb_build_object('name', y.name, 'document', y.document) END,
        'role', g.role, 'namespace', g.namespace, 'application', g.application) ORDER BY g.id), '[]')
    FROM principal_grant g LEFT JOIN policy y ON y.name = g.policy_name WHERE g.principal_id = principal
$$;
