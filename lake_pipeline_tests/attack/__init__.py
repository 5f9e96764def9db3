"""Attacks on what surrounds publication: names, links, outages, disasters, two ledgers, memory, secrets, injection.

One module per kind of attack. A scenario that takes more than a second, or needs another store than a directory, is
marked `attack` and runs only in `make attack`; the others are the sample in `make test`. Each scenario ends with
`assert_intact`: rows exact, `lake fsck` clean, no file quarantined that is not at fault. Interruptions of a use case at
each of its steps do not belong here; they are in `lake_pipeline_tests/crash/`.
"""
