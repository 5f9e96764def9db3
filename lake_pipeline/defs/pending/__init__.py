"""Pending files: which runs the sensor requests for them, and the backlog as an asset."""
