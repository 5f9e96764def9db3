"""The use cases of the lake, free of Dagster: discover, batch, publish, archive, reconcile, verify."""
