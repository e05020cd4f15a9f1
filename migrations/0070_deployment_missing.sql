-- Somebody deleted the Deployment of an application: it runs nothing, whatever number of pods it had.

ALTER TABLE application ADD COLUMN deployment_missing boolean NOT NULL DEFAULT false;
