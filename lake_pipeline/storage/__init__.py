"""Object storage of the lake: the store protocol, its implementations (a directory, S3), and the key layout (`zones`).

What the objects contain, and which of them are in the ledger, belongs to the packages above.
"""
