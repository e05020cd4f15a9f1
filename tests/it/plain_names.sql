-- A database as migration 16 left it: orders at every step and of every kind, changes of
-- every form, questions of every kind, asked and answered, and events. Pod templates have
-- words in them that the program uses too: those are the user's.

INSERT INTO kubernetes_cluster (id, identity) VALUES ('default', 'known');

-- One application for each order that is open, and `web` for those that ended.
INSERT INTO application (id, cluster_id, namespace, name, logical_region, description, owner, created_by, created_at, replicas, resting_snapshot, deleted_at)
SELECT ('00000000-0000-0000-0000-0000000001' || lpad(number::text, 2, '0'))::uuid, 'default', 'default', name, 'cn-test', '', 'tester', 'tester', '2026-01-01T00:00:00Z', 6,
    CASE WHEN name = 'frozen' THEN jsonb '{"template": {"metadata": {"annotations": {"keep": "returned", "tolerance": "1"}}}, "replicas": 6,
        "settings": {"minReadySeconds": 5, "progressDeadlineSeconds": 600, "paused": false, "strategy": {"type": "RollingUpdate"}}}' END,
    CASE WHEN name = 'former' THEN timestamptz '2026-01-01T12:00:00Z' END
FROM (VALUES (1, 'web'), (2, 'starting'), (3, 'created'), (4, 'surging'), (5, 'shrinking'), (6, 'holding'), (7, 'rearming'), (8, 'backing'), (9, 'regrowing'),
    (10, 'retiring'), (11, 'returning'), (12, 'finishing'), (13, 'frozen'), (14, 'resizing'), (15, 'deleting'), (16, 'former')) AS names (number, name);

INSERT INTO release (id, application_id, version, image, description, created_at, template, released_at)
VALUES ('00000000-0000-0000-0000-000000000201', '00000000-0000-0000-0000-000000000101', '1.0', 'shop/web:1', '', '2026-01-01T00:00:00Z',
    '{"metadata": {"annotations": {"keep": "returned", "formerly": "kept"}}, "spec": {"containers": [{"name": "web", "image": "shop/web:1"}]}}', '2026-01-01T00:01:00Z');
UPDATE application SET release_id = '00000000-0000-0000-0000-000000000201' WHERE name = 'web';

-- Columns: number, application, kind, state, step, what is to be released, the change
-- decided last, whether it is known to be made.
CREATE TEMPORARY TABLE given (number integer, application integer, kind order_kind, state order_state, step order_step, target jsonb, intent jsonb, applied bigint);
INSERT INTO given VALUES
    (1, 2, 'deploy', 'ready', 'start', '{"source": {"change": {"image": "shop/web:2"}}}', NULL, NULL),
    (2, 3, 'create', 'running', 'create', '{"source": {"change": {"image": "shop/web:1"}}, "replicas": 6}',
        '{"do": "create", "template": {"metadata": {"annotations": {"keep": "returned"}}}, "replicas": 6, "min_ready_seconds": 0}', 11),
    -- In the middle of its second batch: the change is decided, and not known to be made.
    (3, 4, 'deploy', 'running', 'surge', '{"source": {"exact": {"metadata": {"annotations": {"keep": "returned", "tolerance": "1"}}}}, "most_missing": 2}',
        '{"do": "patch", "template": {"metadata": {"annotations": {"keep": "returned", "tolerance": "1"}}}, "paused": false, "min_ready_seconds": 2147483646,
          "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 4}},
          "keep": {"borrowed": {"minReadySeconds": 5, "progressDeadlineSeconds": 600, "paused": false, "strategy": {"type": "RollingUpdate"}}}}', NULL),
    (4, 5, 'deploy', 'running', 'shrink', '{"source": {"change": {"image": "shop/web:2"}}}',
        '{"do": "patch", "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}, "keep": "unchanged"}', 12),
    (5, 6, 'configure', 'waiting_confirmation', 'hold', '{"source": {"change": {"cpu_limit": 500}}}', '{"do": "patch", "paused": true, "keep": "unchanged"}', 13),
    (6, 7, 'deploy_version', 'running', 'rearm', '{"source": {"exact": {"spec": {}}}}', '{"do": "patch", "min_ready_seconds": 2147483646, "keep": "unchanged"}', 14),
    (7, 8, 'deploy', 'running', 'back', '{"source": {"change": {"image": "shop/web:2"}}}', '{"do": "patch", "paused": false, "keep": "unchanged"}', 15),
    (8, 9, 'deploy', 'running', 'regrow', '{"source": {"change": {"image": "shop/web:2"}}}', '{"do": "scale", "name": "web-1", "uid": "u1", "replicas": 4}', 16),
    (9, 10, 'deploy', 'running', 'retire', '{"source": {"change": {"image": "shop/web:2"}}}', '{"do": "scale", "name": "web-2", "uid": "u2", "replicas": 2}', NULL),
    (10, 11, 'rollback', 'running', 'return', '{"source": {"exact": {"spec": {}}}}', '{"do": "patch", "template": {"spec": {}}, "keep": {"borrowed": {"minReadySeconds": 0, "progressDeadlineSeconds": 600, "paused": false, "strategy": null}}}', 17),
    (11, 12, 'restart', 'running', 'finish', '{"source": {"renewed": "2026-01-02T00:00:00Z"}}', '{"do": "patch", "paused": false, "keep": "returned"}', 18),
    (12, 13, 'deploy', 'aborted', 'freeze', '{"source": {"change": {"image": "shop/web:2"}}}', '{"do": "patch", "paused": true, "keep": "unchanged"}', NULL),
    (13, 14, 'scale', 'running', 'resize', '{"source": "kept", "replicas": 9, "replicas_before": 6}', '{"do": "patch", "replicas": 9, "keep": "unchanged"}', 19),
    (14, 15, 'delete', 'running', 'delete', '{"source": "kept", "adopted": "u9", "formerly": ["00000000-0000-0000-0000-000000000116"], "replicas_before": 6}',
        '{"do": "delete", "uid": "u9", "formerly": ["00000000-0000-0000-0000-000000000116"]}', NULL),
    -- Those that ended.
    (15, 1, 'create', 'succeeded', 'done', '{"source": "kept", "adopted": "u1"}', NULL, NULL),
    (16, 1, 'deploy', 'failed', 'done', '{"source": {"change": {"image": "shop/web:bad"}}}', '{"do": "patch", "keep": "returned"}', 20),
    (17, 1, 'rollback', 'succeeded', 'done', '{"source": "kept"}', '{"do": "patch", "keep": "returned"}', 21),
    (18, 1, 'errand', 'succeeded', 'done', '{"source": "kept"}', NULL, NULL),
    (19, 1, 'stop', 'succeeded', 'done', '{"source": "kept", "replicas": 0}', NULL, NULL),
    (20, 1, 'start', 'system_failed', 'done', '{"source": "kept", "replicas": 6}', NULL, NULL),
    (21, 11, 'deploy', 'failed', 'done', '{"source": {"change": {"image": "shop/web:bad"}}}', NULL, NULL),
    (22, 1, 'deploy', 'aborted', 'done', '{"source": {"change": {"image": "shop/web:3"}}}', NULL, NULL);

INSERT INTO change_order (id, application_id, kind, state, step, step_since, batch, confirmed, back_to, strategy, target, snapshot, undoes, description, created_at, created_by, source,
    finished_at, intent, applied, template, settling, generation, run_after)
SELECT ('00000000-0000-0000-0000-0000000003' || lpad(number::text, 2, '0'))::uuid, ('00000000-0000-0000-0000-0000000001' || lpad(application::text, 2, '0'))::uuid,
    kind, state, step, '2026-01-02T00:00:00Z', CASE WHEN number = 3 THEN 1 ELSE 0 END, 2, CASE WHEN step IN ('back', 'regrow', 'retire') THEN 1 END,
    CASE WHEN kind IN ('deploy', 'deploy_version') THEN jsonb '{"canary": 0, "batches": 3, "pace": "manual"}' ELSE jsonb '{"canary": 0, "batches": 1, "pace": "automatic", "wait_minutes": 0}' END,
    jsonb '{"release": null, "replicas": null, "min_ready_seconds": null, "batch_timeout_seconds": 60, "most_missing": 0,
        "tolerance": {"grace_seconds": 7, "restarts": 3, "watch_seconds": 2, "roll_back": false}}' || target,
    CASE WHEN step NOT IN ('start', 'create', 'delete', 'done') THEN jsonb '{"template": {"metadata": {"annotations": {"keep": "returned", "kept": "kept"}}}, "replicas": 6,
        "settings": {"minReadySeconds": 5, "progressDeadlineSeconds": 600, "paused": false, "strategy": {"type": "RollingUpdate"}}}' END,
    CASE number WHEN 10 THEN uuid '00000000-0000-0000-0000-000000000321' WHEN 17 THEN uuid '00000000-0000-0000-0000-000000000316' END,
    '', timestamptz '2026-01-01T00:00:00Z' + number * interval '1 minute', 'tester', 'pop',
    CASE WHEN state IN ('succeeded', 'failed', 'aborted', 'system_failed') THEN timestamptz '2026-01-03T00:00:00Z' END,
    intent, applied, CASE WHEN number = 3 THEN jsonb '{"metadata": {"annotations": {"keep": "returned", "tolerance": "1"}}}' END, step = 'freeze', nextval('fencing_token'), '2026-01-02T00:00:00Z'
FROM given ORDER BY CASE WHEN kind = 'rollback' THEN 1 ELSE 0 END;

INSERT INTO batch (id, order_id, index, target, state, started_at, finished_at, updated_at, pods)
SELECT gen_random_uuid(), id, index, (index + 1) * 2,
    CASE WHEN finished_at IS NOT NULL THEN state WHEN index < batch THEN 'succeeded' WHEN index = batch THEN 'running' ELSE 'ready' END,
    CASE WHEN index <= batch THEN timestamptz '2026-01-02T00:00:00Z' END,
    CASE WHEN finished_at IS NOT NULL OR index < batch THEN timestamptz '2026-01-02T00:05:00Z' END, '2026-01-02T00:00:00Z',
    '[{"name": "web-1", "ip": "10.0.0.1", "phase": "Running", "ready": true, "message": ""}]'
FROM change_order, generate_series(0, (strategy ->> 'batches')::integer - 1) AS index;

INSERT INTO event (at, application_id, order_id, actor, kind, cause, detail)
SELECT '2026-01-02T00:00:00Z', application_id, id, 'sluice', 'order.' || step, '',
    jsonb_build_object('state', state, 'step', step, 'batch', 1, 'generation', generation, 'change', coalesce(intent, 'null'))
FROM change_order ORDER BY id;
INSERT INTO event (at, application_id, order_id, actor, kind, cause, detail) VALUES
    ('2026-01-02T00:01:00Z', '00000000-0000-0000-0000-000000000104', '00000000-0000-0000-0000-000000000303', 'tester', 'order.accepted', 'release',
        '{"request": "r1", "strategy": {"canary": 0, "batches": 3, "pace": "manual"}, "replicas": 6,
          "target": {"source": "kept", "most_missing": 0, "tolerance": {"grace_seconds": 7}, "formerly": ["f"], "adopted": "u1"}}'),
    ('2026-01-02T00:02:00Z', '00000000-0000-0000-0000-000000000104', '00000000-0000-0000-0000-000000000303', 'sluice', 'change.made', 'for step surge', '{"resourceVersion": 12, "generation": 1}'),
    ('2026-01-02T00:03:00Z', '00000000-0000-0000-0000-000000000108', '00000000-0000-0000-0000-000000000307', 'tester', 'order.step_back', 'back to batch 1 by tester', '{"request": "r2"}'),
    ('2026-01-02T00:04:00Z', '00000000-0000-0000-0000-000000000101', '00000000-0000-0000-0000-000000000317', 'tester', 'order.accepted', 'takes back order', '{"undoes": "00000000-0000-0000-0000-000000000316"}'),
    ('2026-01-02T00:05:00Z', '00000000-0000-0000-0000-000000000101', '00000000-0000-0000-0000-000000000318', 'tester', 'errand.done', 'Create Service front', '{"object": {"name": "front"}}');

-- An open one, one that is done, and one that was refused.
INSERT INTO errand (id, cluster_id, namespace, wanted, record, asked_at, claimed_at, generation, attempts, outcome, answered_at) VALUES
    ('00000000-0000-0000-0000-000000000401', 'default', 'default',
        '{"kind": "service", "name": "front", "owner": {"id": "00000000-0000-0000-0000-000000000101", "name": "web"}, "deed": {"create": {"metadata": {"annotations": {"deed": "delete"}}}}}',
        '{"order": "00000000-0000-0000-0000-000000000399", "application": "00000000-0000-0000-0000-000000000101", "description": "Create Service front", "created_by": "tester", "source": "pop"}',
        '2026-01-02T00:00:00Z', NULL, 0, 0, NULL, NULL),
    ('00000000-0000-0000-0000-000000000402', 'default', 'default', 'null',
        '{"order": "00000000-0000-0000-0000-000000000318", "application": "00000000-0000-0000-0000-000000000101", "description": "Create Service front", "created_by": "tester", "source": "pop", "refusals": true}',
        '2026-01-02T00:00:00Z', '2026-01-02T00:00:01Z', 7, 1, '{"Ok": {"name": "front", "uid": "u3"}}', '2026-01-02T00:00:02Z'),
    ('00000000-0000-0000-0000-000000000403', 'default', 'default', 'null', NULL, '2026-01-02T00:00:00Z', '2026-01-02T00:00:01Z', 8, 2, '{"Err": "the Service front does not exist"}', '2026-01-02T00:00:02Z');

INSERT INTO sighting (id, cluster_id, namespace, name, wanted, asked_at, seen) VALUES
    ('00000000-0000-0000-0000-000000000501', 'default', 'default', 'web', '{"pods": {"whole": true, "nodes": false}}', '2026-01-02T00:00:00Z', NULL),
    ('00000000-0000-0000-0000-000000000502', 'default', 'default', 'web', '"deployment"', '2026-01-02T00:00:00Z',
        '{"Ok": {"deployment": {"metadata": {"annotations": {"keep": "returned"}}}, "pods": [], "node_labels": {}, "objects": []}}'),
    ('00000000-0000-0000-0000-000000000503', 'default', 'default', 'web', '"whole"', '2026-01-02T00:00:00Z', '{"Err": "forbidden"}');

INSERT INTO inquiry (id, cluster_id, namespace, name, proposal, report, asked_at, answered_at) VALUES
    ('00000000-0000-0000-0000-000000000601', 'default', 'default', 'open',
        '{"application": "00000000-0000-0000-0000-000000000101", "cluster": "default", "namespace": "default", "name": "open", "kind": "deploy",
          "strategy": {"canary": 1, "batches": 2, "pace": "automatic", "wait_minutes": 2}, "snapshot": null, "allows_no_surge": true, "batch_seconds": 30,
          "target": {"release": null, "source": {"exact": {"metadata": {"annotations": {"tolerance": "1"}}}}, "replicas": 6, "min_ready_seconds": null, "batch_timeout_seconds": 60,
              "most_missing": 1, "tolerance": {"grace_seconds": 7, "restarts": 3, "watch_seconds": 2, "roll_back": false}}}',
        NULL, '2026-01-02T00:00:00Z', NULL),
    ('00000000-0000-0000-0000-000000000602', 'default', 'default', 'answered', 'null',
        '{"checks": [{"subject": "deployment", "verdict": "passed", "reason": ""}, {"subject": "drain", "verdict": "warned", "reason": "there is no preStop hook"}],
          "plan": {"replicas": 6, "peak_pods": 6, "missing_pods": 2, "expected_seconds": 90, "hash": "h", "batches": [
              {"number": 1, "canary": true, "added": 1, "removed": 1, "new_pods": 1, "old_pods": 5, "gate": "confirmation"},
              {"number": 2, "canary": false, "added": 2, "removed": 2, "new_pods": 3, "old_pods": 3, "gate": {"interval": 2}},
              {"number": 3, "canary": false, "added": 3, "removed": 3, "new_pods": 6, "old_pods": 0, "gate": "open"}]},
          "lacks_room": false}', '2026-01-02T00:00:00Z', '2026-01-02T00:00:02Z'),
    ('00000000-0000-0000-0000-000000000603', 'default', 'default', 'existing', 'null',
        '{"checks": [], "plan": null, "lacks_room": false, "existing": {"uid": "u1", "template": {"metadata": {"annotations": {"verdict": "v"}}}, "replicas": 2, "min_ready_seconds": 0}}',
        '2026-01-02T00:00:00Z', '2026-01-02T00:00:02Z');

DROP TABLE given;
