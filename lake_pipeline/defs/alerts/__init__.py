"""Alerts: failed runs, and conditions that last without a failed run."""
