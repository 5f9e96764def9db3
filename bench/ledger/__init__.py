"""`make bench-ledger`: latency of the ledger's frequent queries with millions of files, on this machine.

fill        generates a ledger of many files inside the server, in minutes
queries     registration, and the queries of people and of the sensor
claims      claims of 500 files: by one worker, by 16 paced workers, and by 16 workers that only claim
claimer     one process of a worker
pgqueuer    the same load on the job queue of that name, on the same server
figures     figures, targets, and their table

It runs on the embedded PostgreSQL with all its durability, as on a laptop.
"""
