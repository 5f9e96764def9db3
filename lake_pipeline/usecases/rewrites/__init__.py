"""Rewrites of published data files: remove rows, widen columns."""
