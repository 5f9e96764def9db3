"""The source of the machine code: functions that numba compiles. Only the compiler imports them.

They take numbers and addresses, allocate nothing and raise nothing, so that the machine code needs no numba at run
time. They import each other and `layout` only, because the name of cached code covers the files of this package.
"""
