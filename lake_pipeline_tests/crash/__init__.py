"""The crash matrix: disturb a use case at every boundary, run it again, and compare with an undisturbed run.

    make crash-matrix                                      all of it
    make crash-matrix-s3                                   all of it in a bucket, with requests that fail at random
    python -m lake_pipeline_tests.crash --scenario ingest --by kill --at 57      one trial

There is a boundary before and after each statement and commit, each call of the object store or request to it, and
before each change of a file. `boundaries` finds them at run time; `scenarios` are the use cases; `disturbances` are
what happens; `worlds` are cheap copies of a lake and its ledger; `observation` is what must be equal; `trials` disturb,
restart and compare.
"""
