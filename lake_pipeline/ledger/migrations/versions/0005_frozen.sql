-- A file that stands in an archive storage class is set aside before anybody claims it.

CREATE OR REPLACE FUNCTION file_transitions() RETURNS TABLE (from_state text, to_state text) LANGUAGE sql IMMUTABLE AS $$
    VALUES
        ('PENDING', 'PROCESSING'),
        ('FAILED', 'PROCESSING'),
        ('PROCESSING', 'SUCCEEDED'),
        ('PROCESSING', 'FAILED'),
        ('PROCESSING', 'QUARANTINED'),
        ('PROCESSING', 'PENDING'),
        ('PENDING', 'QUARANTINED'),
        ('QUARANTINED', 'PENDING'),
        ('FAILED', 'PENDING'),
        ('PENDING', 'SUPERSEDED'),
        ('FAILED', 'SUPERSEDED'),
        ('QUARANTINED', 'SUPERSEDED'),
        ('SUCCEEDED', 'SUPERSEDED')
$$;

-- The files that were set aside: what a listing looks for to find the ones that were restored.
CREATE INDEX file_frozen ON file_processing_status (s3_key, etag)
    WHERE processing_status = 'QUARANTINED' AND error_reason = 'archived_storage_class';
