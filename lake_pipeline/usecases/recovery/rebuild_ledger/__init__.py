"""Rebuild the ledger from the store: replay the commits it lacks, then bring the store in line with them."""
