"""Day keys: the day that a plainly written date names, for columns of them.

Only what `days` would read the same way is taken: a date, or a date and a time of day in the zone of the lake. The work
is done in machine code: one regular expression over a column took longer than reading the numbers of the whole record.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lake_pipeline.convert.native.calling import call


def plain_days(texts: pa.Array, *, is_utc: bool) -> pa.Array | None:
    """The days of `texts` as a dictionary array of `YYYY-MM-DD`; None where some text is written in another way.

    That the day exists is not looked at. With `is_utc` a time may end in `Z`, without it must name no offset.
    """
    _, offsets, data = texts.buffers()
    if data is None or offsets is None:
        return None
    ends = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    valid = None if not texts.null_count else texts.is_valid().to_numpy(zero_copy_only=False)
    keys = np.empty(len(texts), dtype=np.int32)
    if not call("day_keys", data.address, ends, 0 if valid is None else valid, len(texts), is_utc, keys):
        return None
    encoded = pa.array(keys, mask=None if valid is None else ~valid).dictionary_encode()
    days = [f"{key // 10_000:04}-{key // 100 % 100:02}-{key % 100:02}" for key in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(days, pa.string()))
