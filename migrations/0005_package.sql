-- What a version was made of, where that is no image: kind, address (without
-- what is secret in it) and what it runs on.

ALTER TABLE release ADD COLUMN package jsonb;
