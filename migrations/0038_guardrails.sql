-- Guardrails on what runs: what a role is granted with beyond them, and which namespace is
-- about to write an Ingress of a host.

-- The level of Pod Security, service accounts and images that come with a role.
ALTER TABLE principal_grant ADD COLUMN exceptions jsonb NOT NULL DEFAULT '{}';

CREATE OR REPLACE FUNCTION grants_of(principal uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'policy', CASE WHEN y.name IS NOT NULL THEN jsonb_build_object('name', y.name, 'document', y.document) END,
        'role', g.role, 'namespace', g.namespace, 'application', g.application, 'exceptions', g.exceptions) ORDER BY g.id), '[]')
    FROM principal_grant g LEFT JOIN policy y ON y.name = g.policy_name WHERE g.principal_id = principal
$$;

-- A host is a namespace's for a short time, until its Ingress shows on the cluster, whose
-- Ingresses say from then on whose it is.
CREATE TABLE ingress_host (
    cluster_id text NOT NULL,
    host text NOT NULL CHECK (octet_length(host) <= 253),
    namespace text NOT NULL,
    claimed_at timestamptz NOT NULL,
    PRIMARY KEY (cluster_id, host)
);
