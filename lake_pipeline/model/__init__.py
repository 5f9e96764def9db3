"""Immutable values shared by all packages: files, states, claims, partitions, manifests. No I/O, no clocks."""
