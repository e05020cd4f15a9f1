-- Going back within a release: some batches stay, the others' pods go.

ALTER TYPE order_step ADD VALUE 'back';
ALTER TYPE order_step ADD VALUE 'regrow';
ALTER TYPE order_step ADD VALUE 'retire';

-- How many batches a person wishes to stay; none once the order is back there.
ALTER TABLE change_order ADD COLUMN back_to integer CHECK (back_to >= 1);
