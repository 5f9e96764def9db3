-- Maintenance that keeps the ledger fast. Nothing here changes what a query returns.

-- name: backlog_to_fold
-- The newest change of the backlog, if there are enough of them to fold.
SELECT max(change_id) FROM backlog_change HAVING max(change_id) - min(change_id) > :most;

-- name: fold_backlog
-- Replaces changes of the backlog by their sums. Changes that are being written now are not touched.
WITH folded AS (
    DELETE FROM backlog_change WHERE change_id <= :until
    RETURNING processing_status, lane, expected_date, expected_mode, files, bytes
)
INSERT INTO backlog_change (processing_status, lane, expected_date, expected_mode, files, bytes)
SELECT processing_status, lane, expected_date, expected_mode, sum(files), sum(bytes) FROM folded
GROUP BY processing_status, lane, expected_date, expected_mode HAVING sum(files) <> 0;
