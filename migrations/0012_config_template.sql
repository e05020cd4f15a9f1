-- Texts that are kept under a name, for people and programs to fetch. Nothing of an
-- application refers to them.

CREATE TYPE config_format AS ENUM ('json', 'xml', 'yaml', 'properties', 'key_value', 'custom');

CREATE TABLE config_template (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> '' AND char_length(name) <= 64),
    description text NOT NULL CHECK (char_length(description) <= 255),
    format      config_format NOT NULL,
    -- It may hold passwords: it is in no event, and in no answer that is kept.
    content     text NOT NULL CHECK (content <> '' AND char_length(content) <= 65536),
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL CHECK (updated_at >= created_at)
);
