"""Frozen values that cross module borders: files, states, claims, partitions, manifests. No I/O, no clocks."""
