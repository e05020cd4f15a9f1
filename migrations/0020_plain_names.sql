-- Plain names: one word for one thing, in columns, enums and documents as in the program.
-- Every row of a database of before is rewritten here, also those of open orders.

-- Steps say what is done to the Deployment.
ALTER TYPE order_step RENAME VALUE 'surge' TO 'bring_up';
ALTER TYPE order_step RENAME VALUE 'shrink' TO 'scale_down_old';
ALTER TYPE order_step RENAME VALUE 'hold' TO 'paused';
ALTER TYPE order_step RENAME VALUE 'rearm' TO 'close_gate';
ALTER TYPE order_step RENAME VALUE 'back' TO 'step_back';
ALTER TYPE order_step RENAME VALUE 'regrow' TO 'restore_old';
ALTER TYPE order_step RENAME VALUE 'retire' TO 'remove_new';
ALTER TYPE order_step RENAME VALUE 'return' TO 'roll_back';
ALTER TYPE order_step RENAME VALUE 'finish' TO 'restore_settings';
ALTER TYPE order_step RENAME VALUE 'freeze' TO 'pause_in_place';

ALTER TYPE order_kind RENAME VALUE 'errand' TO 'object_write';

ALTER TABLE change_order RENAME COLUMN undoes TO rolls_back;
ALTER TABLE change_order RENAME COLUMN settling TO finalizing;
ALTER INDEX change_order_settling RENAME TO change_order_finalizing;

-- What the service asks of the cluster: to write an object, to show something, or to
-- judge a release.
ALTER TABLE errand RENAME TO object_write;
ALTER INDEX errand_open RENAME TO object_write_open;

ALTER TABLE sighting RENAME TO cluster_query;
ALTER TABLE cluster_query RENAME COLUMN wanted TO kind;
ALTER TABLE cluster_query RENAME COLUMN seen TO answer;
ALTER INDEX sighting_open RENAME TO cluster_query_open;

ALTER TABLE inquiry RENAME TO precheck_request;
ALTER INDEX inquiry_open RENAME TO precheck_request_open;
ALTER INDEX inquiry_of RENAME TO precheck_request_of;

-- Constraints that Postgres named after what they are about.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT conrelid::regclass AS place, conname::text AS old
        FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND conrelid <> 0 AND conname::text ~ 'errand|sighting|inquiry|undoes|settling'
    LOOP
        EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', found.place, found.old,
            replace(replace(replace(replace(replace(found.old, 'errand', 'object_write'), 'sighting', 'cluster_query'),
                'inquiry', 'precheck_request'), 'undoes', 'rolls_back'), 'settling', 'finalizing'));
    END LOOP;
END
$$;

-- The documents. Only what the program itself named is renamed: a pod template, which may
-- have any words in it, is never looked into.

-- An object with one key under another name; all else stays as it is.
CREATE FUNCTION pg_temp.renamed(document jsonb, old text, new text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(document) = 'object' AND document ? old
        THEN (document - old) || jsonb_build_object(new, document -> old)
        ELSE document END
$$;

CREATE FUNCTION pg_temp.plain_target(target jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF target -> 'source' = '"kept"' THEN
        target := jsonb_set(target, '{source}', '"unchanged"');
    END IF;
    target := pg_temp.renamed(target, 'formerly', 'former_applications');
    target := pg_temp.renamed(target, 'adopted', 'adopted_uid');
    target := pg_temp.renamed(target, 'most_missing', 'max_unavailable');
    RETURN pg_temp.renamed(target, 'tolerance', 'failure_policy');
END
$$;

CREATE FUNCTION pg_temp.plain_change(change jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE change ->> 'do'
        WHEN 'patch' THEN pg_temp.renamed(change, 'keep', 'borrow')
        WHEN 'delete' THEN pg_temp.renamed(change, 'formerly', 'former_applications')
        ELSE change END
$$;

CREATE FUNCTION pg_temp.plain_step(step text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((jsonb '{
        "surge": "bring_up", "shrink": "scale_down_old", "hold": "paused", "rearm": "close_gate", "back": "step_back",
        "regrow": "restore_old", "retire": "remove_new", "return": "roll_back", "finish": "restore_settings", "freeze": "pause_in_place"
    }') ->> step, step)
$$;

CREATE FUNCTION pg_temp.plain_batch(batch jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF batch -> 'gate' = '"open"' THEN
        batch := jsonb_set(batch, '{gate}', '"none"');
    END IF;
    batch := jsonb_set(batch, '{gate}', pg_temp.renamed(batch -> 'gate', 'interval', 'pause'));
    RETURN pg_temp.renamed(batch, 'gate', 'batch_gate');
END
$$;

CREATE FUNCTION pg_temp.plain_report(report jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    report := jsonb_set(report, '{checks}', coalesce(
        (SELECT jsonb_agg(pg_temp.renamed(item, 'verdict', 'finding') ORDER BY place)
         FROM jsonb_array_elements(report -> 'checks') WITH ORDINALITY AS checks (item, place)), '[]'));
    IF jsonb_typeof(report -> 'plan') = 'object' THEN
        report := jsonb_set(report, '{plan}', pg_temp.renamed(report -> 'plan', 'missing_pods', 'max_unavailable'));
        report := jsonb_set(report, '{plan,batches}', coalesce(
            (SELECT jsonb_agg(pg_temp.plain_batch(item) ORDER BY place)
             FROM jsonb_array_elements(report -> 'plan' -> 'batches') WITH ORDINALITY AS batches (item, place)), '[]'));
    END IF;
    RETURN report;
END
$$;

UPDATE change_order SET target = pg_temp.plain_target(target), intent = pg_temp.plain_change(intent);

UPDATE object_write SET wanted = pg_temp.renamed(wanted, 'deed', 'action');

UPDATE precheck_request SET
    proposal = CASE WHEN jsonb_typeof(proposal -> 'target') = 'object'
        THEN jsonb_set(proposal, '{target}', pg_temp.plain_target(proposal -> 'target')) ELSE proposal END,
    report = pg_temp.plain_report(report);

-- Events stay as they happened, in the words of now: whoever reads them knows no others.
ALTER TABLE event DISABLE TRIGGER refuse_event_change;

UPDATE event SET kind = 'order.step_back_requested' WHERE kind = 'order.step_back';
UPDATE event SET kind = 'object_write.' || substr(kind, 8) WHERE kind LIKE 'errand.%';
UPDATE event SET kind = 'order.' || pg_temp.plain_step(substr(kind, 7)) WHERE kind LIKE 'order.%' AND detail ? 'step';
UPDATE event SET cause = 'for step ' || pg_temp.plain_step(substr(cause, 10)) WHERE kind = 'change.made' AND cause LIKE 'for step %';
UPDATE event SET detail = pg_temp.renamed(detail, 'undoes', 'rolls_back') WHERE detail ? 'undoes';
UPDATE event SET detail = jsonb_set(detail, '{step}', to_jsonb(pg_temp.plain_step(detail ->> 'step'))) WHERE jsonb_typeof(detail -> 'step') = 'string';
UPDATE event SET detail = jsonb_set(detail, '{change}', pg_temp.plain_change(detail -> 'change')) WHERE jsonb_typeof(detail -> 'change') = 'object';
UPDATE event SET detail = jsonb_set(detail, '{target}', pg_temp.plain_target(detail -> 'target')) WHERE jsonb_typeof(detail -> 'target') = 'object';

ALTER TABLE event ENABLE TRIGGER refuse_event_change;

DROP FUNCTION pg_temp.plain_report, pg_temp.plain_batch, pg_temp.plain_step, pg_temp.plain_change, pg_temp.plain_target, pg_temp.renamed;
