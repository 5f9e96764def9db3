"""Sharding: one conversion split over many tasks, as Spark runs it."""
