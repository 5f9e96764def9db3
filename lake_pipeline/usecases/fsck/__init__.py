"""`lake fsck`: compare the store with the ledger, in both directions.

    batches → pending objects → landing zones and archive → curated and quarantine files → what is in them

Each step merges two sorted streams in bounded memory. It checks a suspect a second time before it reports it, because
the lake may be in use. `audit` runs all steps; nothing is repaired without `--repair`.
"""
