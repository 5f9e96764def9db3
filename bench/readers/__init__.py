"""`make bench-readers`: rows a second of `CuratedDataset`, beside a bare loop of pyarrow and Hugging Face datasets.

Each kind of reading is timed beside a loop that hands out the same with `pyarrow.dataset` alone, written as somebody
who knows pyarrow would: the same columns and rows, batches of the same size, shuffled in windows of the same size, the
same frames or tensors. The loop is spared what the reader does besides: it checks the version of each file, gives
columns as the contract has them, and knows its position, its share and an order that can be had again.
"""
