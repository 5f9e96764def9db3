"""The embedded PostgreSQL: home, client and supervisor."""
