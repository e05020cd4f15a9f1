-- What was in the way last while an order could not go on, and for how long some program saw
-- that it was: each kind has its own time, and none passes while no program looks.
ALTER TABLE change_order
    ADD COLUMN obstacle text CHECK (obstacle IN ('unanswered', 'failing', 'denied')),
    ADD COLUMN obstacle_ms bigint NOT NULL DEFAULT 0 CHECK (obstacle_ms >= 0);
