"""`make bench-readers`: rows per second of `CuratedDataset`, a bare pyarrow loop and Hugging Face datasets.

Each kind of reading is compared with an idiomatic loop over `pyarrow.dataset` that yields the same: columns and rows,
batch size, shuffle window, frames or tensors. The loop omits the other work of the reader: checking the version of each
file, columns as in the contract, positions to resume from, division among workers, and a reproducible order.
"""
