-- What an order wrote and knows of others who write its Deployment; an executor writes it.
ALTER TABLE change_order ADD COLUMN hands jsonb NOT NULL DEFAULT '{}';
-- Whether a person lets an order go on that somebody paused by the Deployment; the service
-- sets it, and the executor takes it back as it obeys.
ALTER TABLE change_order ADD COLUMN goes_on boolean NOT NULL DEFAULT false;
