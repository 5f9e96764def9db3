"""Machine code: the loops of the kernel, compiled once, cached, and loaded without a compiler in the process.

`source/` is what numba compiles, `compiler` does it in a process of its own, `code_cache` stores and validates the
result, and `call` loads it and calls it. `layout` declares the tables that both sides share. Nothing in here imports
other parts of the project except `errors`, because the name of cached code covers everything that it is made from.
"""
