-- The trace of the request that wrote an order, so that whoever carries the order out goes on with it.

ALTER TABLE change_order
    -- As in W3C's header traceparent; null = of an earlier version.
    ADD COLUMN trace_parent text CHECK (trace_parent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');
