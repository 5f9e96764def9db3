"""Checks of what is published: row counts, completeness, freshness, quarantine ratio."""
