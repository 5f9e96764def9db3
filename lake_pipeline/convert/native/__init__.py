"""The door to machine code: the loops of the kernel, compiled once and kept, without a compiler in the process.

`source/` is what is compiled, by numba, in a process of its own (`compiling`); `keeping` knows where the machine code
stands and whether it is still the right one; `calling` loads it and calls it. Nothing in here imports other parts of
the project (but `errors`): the key that machine code is kept by covers all that it is made of.
"""
