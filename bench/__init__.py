"""`make bench`: compare the conversion kernel with its peers on the same data, in the same run, on this machine.

datasets, records      the input: generated, the same each time, cached under .bench/data
contenders/            one module for each contender, which says exactly what it runs
run, processes         one run in a process of its own, with its memory and that of its children
output                 the result of a run: rows, partitions and a sum, read back from the Parquet files
rounds, results        rounds of all contenders, medians and targets
stages                 processor time by stage of the kernel
report, page           the tables on the terminal and in docs/benchmarks.md
"""
