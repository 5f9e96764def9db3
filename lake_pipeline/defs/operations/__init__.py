"""Scheduled operations: comparing store and ledger, upkeep, and checks that depend on time."""
