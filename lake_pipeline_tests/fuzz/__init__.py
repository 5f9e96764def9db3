"""Fuzzing: broken inputs by the hundred thousand, each of which must be accounted for, and none of which may crash.

mutations   inputs: records, and whole files, that were valid until something happened to them
verdicts    what a conversion did to them, against the plain reference
workers     conversions in processes of their own, so that a crash or a hang is a finding and not the end
__main__    `make fuzz`: until the time is over; says which input failed, as small as it could be made
"""
