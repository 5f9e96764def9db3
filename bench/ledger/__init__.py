"""`make bench-ledger`: what the ledger's hot queries take when it holds millions of files, on this machine.

filling     a ledger of many files, made inside the server in minutes
looks       registering, and what people and the sensor look at
claiming    claims of 500 files: alone, by 16 processes that work in between, and by 16 that do nothing else
claimer     one such process
pgqueuer    the same load on the job queue of that name, on the same server
figures     the targets, and the table of what was measured

It runs on the embedded PostgreSQL as a laptop has it, with everything that makes it durable.
"""
