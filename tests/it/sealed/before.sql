INSERT INTO kubernetes_cluster (id, version) VALUES ('default', 'v1.30.0');
INSERT INTO application (id, cluster_id, namespace, name, logical_region, description, owner, created_by, created_at, replicas, resting_snapshot)
VALUES ('01935a2c-52b0-7c41-8d6e-000000000001', 'default', 'shop', 'web', 'default', '', 'ci', 'ci', now(), 2,
        '{"template":{"env":"planted-resting"},"replicas":2,"settings":{"strategy":null,"minReadySeconds":0,"progressDeadlineSeconds":600,"paused":false}}');
INSERT INTO principal (id, name, kind, created_at) VALUES ('01935a2c-52b0-7c41-8d6e-000000000009', 'ci', 'program', now());
INSERT INTO access_key (id, secret, name, principal_id, created_at)
VALUES ('key', 'planted-key', 'ci', '01935a2c-52b0-7c41-8d6e-000000000009', now());
INSERT INTO nonce (key_id, nonce, digest, outcome, seen_at)
VALUES ('key', 'one and two', 'd', '{"secret":"planted-answer"}', now()), ('key', 'three', 'd', 'null', now());
INSERT INTO upload_credential (id, key_id, secret, token, expires_at)
VALUES ('01935a2c-52b0-7c41-8d6e-00000000000a', 'key', 'planted-upload', 'planted-token', now());
INSERT INTO stored_package (id, object_key, bytes, md5, sha256, capability, uploaded_by, created_at)
VALUES ('01935a2c-52b0-7c41-8d6e-000000000005', 'k', 1, repeat('0', 32), repeat('0', 64), 'planted-capability', 'ci', now()),
       ('01935a2c-52b0-7c41-8d6e-000000000006', 'l', 1, repeat('0', 32), repeat('0', 64), 'planted-capability', 'ci', now());
INSERT INTO release (id, application_id, version, image, description, created_at, template, released_at)
VALUES ('01935a2c-52b0-7c41-8d6e-000000000007', '01935a2c-52b0-7c41-8d6e-000000000001', '1', 'i', '', now(),
        '{"url":"http://s/sluice/v1/packages/01935a2c-52b0-7c41-8d6e-000000000005/a.jar?capability=planted-capability"}', now());
INSERT INTO change_order (id, application_id, kind, state, step_since, strategy, target, snapshot, intent, template, description, created_at, created_by, source, run_after, finished_at)
VALUES ('01935a2c-52b0-7c41-8d6e-000000000003', '01935a2c-52b0-7c41-8d6e-000000000001', 'deploy', 'failed', now(),
        '{"canary":0,"batches":1,"pace":"manual"}',
        '{"release":null,"source":{"exact":{"env":"planted-target"}},"replicas":3,"replicas_before":2,"min_ready_seconds":null,"batch_timeout_seconds":60}',
        '{"template":{"env":"planted-snapshot"},"replicas":2,"settings":{"strategy":null,"minReadySeconds":0,"progressDeadlineSeconds":600,"paused":false}}',
        '{"do":"create","template":{"env":"planted-intent"},"replicas":3,"min_ready_seconds":0}',
        '{"env":"planted-template"}', '', now(), 'ci', 'api', now(), now());
INSERT INTO config_template (name, description, format, content, created_by, created_at, updated_at)
VALUES ('database', '', 'custom', 'planted-content', 'ci', now(), now());
INSERT INTO precheck_request (id, cluster_id, namespace, name, proposal, asked_at)
VALUES ('01935a2c-52b0-7c41-8d6e-00000000000b', 'default', 'shop', 'web', '{"target":"planted-proposal"}', now());
INSERT INTO cluster_query (id, cluster_id, namespace, name, kind, asked_at, answer)
VALUES ('01935a2c-52b0-7c41-8d6e-00000000000c', 'default', 'shop', 'web', '"deployment"', now(), '{"Err":"planted-state"}');
INSERT INTO object_write (id, cluster_id, namespace, wanted, asked_at)
VALUES ('01935a2c-52b0-7c41-8d6e-00000000000d', 'default', 'shop', '{"data":"planted-object"}', now());
INSERT INTO console_seal (key) VALUES (convert_to(rpad('planted-seal', 32, 'x'), 'UTF8'));
