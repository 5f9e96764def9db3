"""The Dagster instance, and all code that uses private modules or attributes of Dagster (docs/decisions/0022)."""
