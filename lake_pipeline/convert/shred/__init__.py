"""Shredding: JSON lines to columns in one pass of compiled code, strict to the letter of RFC 8259.

`plan` turns a shape into tables, `shredder` has the machine code walk the bytes with them (`native/source/scan`),
`arrays` makes Arrow arrays of what was found. A line with anything unexpected is set aside whole; all others are exact.
"""
