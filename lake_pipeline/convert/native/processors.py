"""Processors: what machine code is compiled for. They are levels, not models, so that code can be shipped.

Code for x86-64-v3 scans as fast as code for the exact processor (measured on one with AVX-512: 843 and 855 MB/s). Code
for any x86-64 is 6 % slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm


@dataclass(frozen=True, kw_only=True)
class Processor:
    """`name` is LLVM's name; `features` are what a machine must have to run code for it."""

    name: str
    features: frozenset[str] = frozenset()


_X86_64_V3 = Processor(
    name="x86-64-v3", features=frozenset({"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"})
)
_LEVELS = {"x86_64": (_X86_64_V3, Processor(name="x86-64"))}
_ANY = (Processor(name="generic"),)


def processors() -> tuple[Processor, ...]:
    """The processors of this machine's architecture, the fastest first."""
    return _LEVELS.get(architecture(), _ANY)


def this_processor() -> Processor:
    """The fastest of them whose features this machine has."""
    features = llvm.get_host_cpu_features()
    return next(processor for processor in processors() if all(features.get(feature) for feature in processor.features))


def architecture() -> str:
    """The first part of `triple`, for example `x86_64`."""
    return triple().split("-")[0]


def triple() -> str:
    """LLVM's name for this kind of machine: architecture, vendor, system."""
    name: str = llvm.get_process_triple()
    return name


def target_machine(processor: Processor) -> Any:
    """LLVM's description of `processor`. The code can be loaded at any address."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(triple()).create_target_machine(
        cpu=processor.name,
        opt=3,
        reloc="static" if architecture() == "x86_64" else "default",
        codemodel="jitdefault",
        jit=True,
    )
