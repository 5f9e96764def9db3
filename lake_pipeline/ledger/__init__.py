"""PostgreSQL: schema, migrations, named queries, and the components of the ledger. Nothing else imports a driver.

Start at `ledger.py`. The embedded server, which runs PostgreSQL on a laptop, is here too.
"""
