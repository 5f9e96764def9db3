-- Originals on their way to the archive.

-- name: awaiting_archive
-- Published originals that are still in the landing zone.
SELECT file_id, s3_key, etag, archive_key FROM file_processing_status
WHERE archive_state = 'WAITING' ORDER BY batch_id, file_id LIMIT :limit;

-- name: awaiting_archive_of_batch
-- The same for one batch.
SELECT file_id, s3_key, etag, archive_key FROM file_processing_status
WHERE archive_state = 'WAITING' AND batch_id = CAST(:batch_id AS uuid) ORDER BY batch_id, file_id LIMIT :limit;

-- name: mark_archived
-- Marks originals as archived. Those already marked are not changed.
UPDATE file_processing_status SET archive_state = 'ARCHIVED', archived_at = now(), updated_at = now()
WHERE file_id = ANY (CAST(:file_ids AS bigint[])) AND archive_state = 'WAITING';

-- name: change_archive_key
-- Gives an original another key in the archive.
UPDATE file_processing_status SET archive_key = :archive_key, updated_at = now()
WHERE file_id = CAST(:file_id AS bigint) AND archive_state <> 'NONE';

-- name: mark_returned
-- Ends the stay of an original in the archive: it is in the landing zone again, as another version.
UPDATE file_processing_status SET archive_state = 'NONE', archive_key = NULL, archived_at = NULL, updated_at = now()
WHERE file_id = CAST(:file_id AS bigint) AND archive_state = 'ARCHIVED';
