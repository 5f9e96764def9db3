"""`make bench`: the conversion kernel and its peers, on the same data, in the same run, on this machine.

datasets, records      what is converted: generated, the same each time, kept under .bench/data
contenders/            who converts it: one module each, which says exactly what it does
run, processes         one run: a process of its own, with its memory and that of its children
output                 what a run wrote: rows, partitions and a sum, read back from the Parquet files
measuring, results     turns, medians and the targets
report, page           the tables on the terminal and in docs/benchmarks.md
"""
