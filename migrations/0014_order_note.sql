-- What the caller of an order is to know although it was accepted: what of the request
-- has no effect here, and what the checks before it warned of. Sentences, in order.

ALTER TABLE change_order ADD COLUMN notes text[] NOT NULL DEFAULT '{}';
