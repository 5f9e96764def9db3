"""A stand-in for AWS that tests speak to over HTTP: moto, stricter where it is lax, with faults on demand.

`server` starts it as a process of its own, `faults` breaks answers, `strict` keeps conditions that moto ignores,
`recording` counts what was asked. Nothing here is imported by the project itself.
"""
