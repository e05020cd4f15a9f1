-- Events are kept for ever, and readable by position: what they held of templates, with
-- the values of variables and the addresses of packages, goes.
ALTER TABLE event DISABLE TRIGGER refuse_event_change;
UPDATE event SET detail = detail - 'target' WHERE kind = 'order.accepted' AND detail ? 'target';
UPDATE event SET detail = jsonb_set(detail, '{change,template}', '"changed"')
    WHERE jsonb_typeof(detail -> 'change') = 'object' AND detail -> 'change' ? 'template';
ALTER TABLE event ENABLE TRIGGER refuse_event_change;
