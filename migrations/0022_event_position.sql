-- Events can be read since a position. Their numbers alone cannot say it: a transaction
-- that took its number earlier may commit later, and a reader that saw the higher number
-- would never see the lower one. The transaction's own number says which ones had ended.
ALTER TABLE event ADD COLUMN written_in xid8 NOT NULL DEFAULT pg_current_xact_id();

CREATE INDEX event_by_position ON event (written_in, id);
