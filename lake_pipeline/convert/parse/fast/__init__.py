"""The fast parser: JSON lines to columns in one pass of machine code, strict to the letter of RFC 8259.

`plan` turns a shape into tables, `parser` scans the lines with them (`native/source/scan`), and `arrays` makes Arrow
arrays of the values (`gather`). A line with anything unexpected is rejected completely; all others are exact.
"""
