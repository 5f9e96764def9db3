"""Default limits of batches, claims and checks: the one source for an open lake and for the settings.

Other defaults of conversion are those of `convert.request.ConversionOptions`.
"""

MAX_UNPACKED_RATIO = 10_000
"""Bytes of text for each stored byte of a compressed file, at most. gzip reaches 1,032, and logs 200."""

MAX_BLANK_BYTES = 256 << 20
"""Decompressed bytes without a record, at most."""

ZSTD_WINDOW = 128 << 20
"""The window of zstd data, at most, in bytes. The zstd command refuses larger ones unless it is told to read them."""

BATCH_FILES = 1000
"""Raw files of a batch, at most."""

BATCH_BYTES = 2_000_000_000
"""Raw bytes of a batch, as stored, at most."""

LEASE_SECONDS = 600
"""How long a claim holds without being renewed."""

MAX_ATTEMPTS = 5
"""Attempts before a file is quarantined."""

REWRITE_BYTES = 1 << 30
"""Published bytes that an ingest batch rewrites to widen a column, at most."""

QUARANTINE_WARNING = 0.01
"""Ratio of quarantined records above which the check of a partition warns."""

USUAL_SHARE = 0.5
"""Ratio of the usual rows of a weekday below which the check of a partition warns."""

FRESH_HOURS = 24.0
"""Hours that a file may wait before the check of its partition warns."""

MIN_AGE_SECONDS = 10
"""Seconds without a change after which a file in a directory counts as complete. An object in a bucket always is."""
