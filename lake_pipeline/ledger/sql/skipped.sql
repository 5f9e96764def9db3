-- Entries of the landing zones that can't be read.

-- name: record_skipped
-- Adds the entries of a listing, or renews them.
INSERT INTO skipped_entry AS known (entry, reason, detail)
SELECT entry, reason, detail
FROM unnest(CAST(:entries AS text[]), CAST(:reasons AS text[]), CAST(:details AS text[])) AS seen (entry, reason, detail)
ORDER BY entry
ON CONFLICT (entry) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, last_seen_at = now();

-- name: clear_skipped
-- Deletes the entries that the listing of this transaction did not meet.
DELETE FROM skipped_entry WHERE last_seen_at < now();

-- name: skipped_entries
-- The entries, first the one that was met first, with the number of all.
SELECT entry, reason, detail, first_seen_at, last_seen_at, count(*) OVER () AS entries FROM skipped_entry
ORDER BY first_seen_at, entry LIMIT :limit;
