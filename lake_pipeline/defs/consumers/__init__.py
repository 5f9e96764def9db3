"""Consumers of the curated table: training snapshots and the table in the Glue Data Catalog."""
