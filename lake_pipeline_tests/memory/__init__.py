"""Memory checks: conversions under valgrind, which reports invalid reads and writes of machine code.

valgrind      runs a Python module under memcheck, and reads its report
conversions   the process that is checked: converts mutated inputs of `fuzz` and the files of all cases
faulty        a process with a deliberate error, which proves that such errors are found
__main__      `make check-memory`
"""
