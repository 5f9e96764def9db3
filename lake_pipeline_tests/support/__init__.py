"""Helpers shared by several tests: lakes, factories, builders for ledgers, servers. No tests."""
