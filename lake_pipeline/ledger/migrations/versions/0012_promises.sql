-- Promises: the files that a partition will not get, found without looking at all that were refused. Empty in a lake
-- without refusals, so it costs the others nothing.
CREATE INDEX file_refused_in_partition ON file_processing_status (expected_date, expected_mode)
    WHERE processing_status = 'QUARANTINED' AND expected_date IS NOT NULL;
