"""Raw files to blocks of whole records: decompression, format detection, framing, byte ranges, prefetch."""
