"""Fuzzing: hundreds of thousands of damaged inputs. Each must be accounted for, and none may crash a conversion.

mutations   inputs: valid records and whole files with random damage
verdicts    compares the result of a conversion with the plain reference
workers     conversions in separate processes, so that a crash or a hang is a finding and does not end the run
__main__    `make fuzz`: runs until the time is over, and reports each failing input, shrunk as far as possible
"""
