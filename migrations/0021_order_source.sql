-- What an order was asked for through, in words of our own and no others. Until now the API
-- had its word in EDAS, and commands of the program were called the console, which was none.

CREATE TYPE order_source AS ENUM ('api', 'console', 'cli', 'system');

ALTER TABLE change_order ALTER COLUMN source TYPE order_source USING (
    CASE source WHEN 'console' THEN 'cli' WHEN 'sluice' THEN 'system' ELSE 'api' END::order_source
);

-- Orders that are recorded once an object is written.
UPDATE object_write
SET record = jsonb_set(record, '{source}', CASE record ->> 'source' WHEN 'console' THEN '"cli"' WHEN 'sluice' THEN '"system"' ELSE '"api"' END::jsonb)
WHERE jsonb_typeof(record) = 'object';
