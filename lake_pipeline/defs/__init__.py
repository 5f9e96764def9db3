"""The door to Dagster: one small module for each of its concepts. What a lake does lives in `ingest`, not here."""
