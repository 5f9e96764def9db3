"""The door to PostgreSQL: schema, migrations, named queries and read-side views; nothing else imports a driver.

Start at `ledger.py`. The embedded server lives here too, as the place where PostgreSQL runs on a laptop.
"""
