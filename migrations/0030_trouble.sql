-- What keeps the next batch of an order that waits from beginning; empty = nothing. An
-- executor that watches the Deployment meanwhile writes it.
ALTER TABLE change_order ADD COLUMN trouble text NOT NULL DEFAULT '';
