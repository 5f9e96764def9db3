"""The source of the machine code: functions that numba compiles, and that nothing but the compiler imports.

They get numbers and addresses, allocate nothing and raise nothing, so that the machine code needs no run time of
numba. They import each other and `layout` only: the key that machine code is kept by covers the files of this package.
"""
