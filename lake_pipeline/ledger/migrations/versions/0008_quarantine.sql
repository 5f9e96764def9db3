-- Files of quarantined records that lose those of raw files which were rebuilt, replaced or forgotten.

-- The batch past its point of no return that writes the file again or takes it away.
ALTER TABLE quarantine_file ADD COLUMN replaced_by uuid REFERENCES batch;
