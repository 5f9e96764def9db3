"""Provisioning: the AWS resources of a lake as desired states, the comparison with their current state, and the update.

Every operation is idempotent and leaves what others have configured. IAM policies are written, not applied.
"""
