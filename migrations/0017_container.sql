-- Which container of its pods is the application's.

ALTER TABLE application
    -- Its name; none = nothing is on record, and the pod template alone says it.
    ADD COLUMN container text CHECK (container <> ''),
    -- Whether somebody chose it. What was only found gives way to the template's annotation.
    ADD COLUMN container_chosen boolean NOT NULL DEFAULT false CHECK (container IS NOT NULL OR NOT container_chosen);
