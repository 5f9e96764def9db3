"""The crash matrix: a use case is killed at every boundary, started again, and must end as if nothing had happened.

    make crash-matrix                                      all of it
    make crash-matrix-s3                                   all of it in a bucket, where requests fail now and then, too
    python -m lake_pipeline_tests.crash --scenario ingest --at 57      one kill, to look at

A boundary lies before and after each statement and commit, each call of the object store or request to it, and each
change of a file.
They are found at run time by `boundaries`; `scenarios` are the use cases; `worlds` are cheap copies of a lake and its
ledger; `observing` is what must be equal; `trials` kill, restart and compare.
"""
