"""`make bench-readers`: rows a second of `CuratedDataset`, beside a bare scan of pyarrow and Hugging Face datasets."""
