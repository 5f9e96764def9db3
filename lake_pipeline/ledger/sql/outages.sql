-- Outages: the circuit breaker that all workers share. A row exists while a store or an engine does not work.

-- name: outages_of
-- The outages of some subjects; NULL for all. Times are those of the server, in UTC.
SELECT subject, reason, since AT TIME ZONE 'UTC' AS since, failures, paused_until AT TIME ZONE 'UTC' AS paused_until,
    CAST(extract(epoch FROM paused_until - now()) AS double precision) AS pause_left
FROM outage WHERE CAST(:subjects AS text[]) IS NULL OR subject = ANY (CAST(:subjects AS text[]))
ORDER BY since, subject;

-- name: reserve_probe
-- Gives the probe of a subject to this worker. The others wait until it reports, but not longer than the probe may take.
UPDATE outage SET paused_until = now() + make_interval(secs => :probe_seconds)
WHERE subject = ANY (CAST(:subjects AS text[])) AND failures = :failures
    AND (paused_until <= now() OR CAST(:at_once AS boolean));

-- name: open_outage
-- Counts a failure and starts the next pause, twice as long as the one before. Workers that began before the outage, or
-- before its last failure, add nothing: a hundred of them fail at the same time.
INSERT INTO outage AS recorded (subject, reason, failures, paused_until)
VALUES (:subject, :reason, 1, now() + make_interval(secs => :first_pause))
ON CONFLICT (subject) DO UPDATE SET
    reason = excluded.reason,
    failures = recorded.failures + 1,
    paused_until = now() + make_interval(
        secs => least(CAST(:longest_pause AS float), CAST(:first_pause AS float) * power(2, least(recorded.failures, 30)))
    )
WHERE recorded.failures = :failures;

-- name: close_outage
-- A batch was converted: all workers go on.
DELETE FROM outage WHERE subject = ANY (CAST(:subjects AS text[]));
