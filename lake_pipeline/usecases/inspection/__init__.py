"""Inspection of raw files before anything is registered: `lake inspect`.

It reads the beginnings of files, and it writes nothing and needs no ledger. What records become is decided by the same
code as in a conversion: the sample is converted in memory.
"""
