"""Processors: what machine code is made for. A few levels instead of each model, so that it can be shipped.

Code for x86-64-v3 scans as fast as code for the very processor (measured on one with AVX-512: 843 and 855 MB/s), and
code for any x86-64 loses 6 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm


@dataclass(frozen=True, kw_only=True)
class Processor:
    """`name` is what LLVM calls it; `needs` are the features a machine must have to run code for it."""

    name: str
    needs: frozenset[str] = frozenset()


_X86_64_V3 = Processor(
    name="x86-64-v3", needs=frozenset({"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"})
)
_LEVELS = {"x86_64": (_X86_64_V3, Processor(name="x86-64"))}
_ANY = (Processor(name="generic"),)


def processors() -> tuple[Processor, ...]:
    """Those of this machine's architecture, the fastest first."""
    return _LEVELS.get(architecture(), _ANY)


def this_processor() -> Processor:
    """The fastest of them that this machine can do what it needs."""
    features = llvm.get_host_cpu_features()
    return next(each for each in processors() if all(features.get(need) for need in each.needs))


def architecture() -> str:
    """The first part of what LLVM calls this kind of machine, as in `x86_64`."""
    return triple().split("-")[0]


def triple() -> str:
    """What LLVM calls this kind of machine: architecture, maker, system."""
    name: str = llvm.get_process_triple()
    return name


def target_machine(processor: Processor) -> Any:
    """LLVM's description of it. Code is made for addresses anywhere in memory, as it is loaded."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(triple()).create_target_machine(
        cpu=processor.name,
        opt=3,
        reloc="static" if architecture() == "x86_64" else "default",
        codemodel="jitdefault",
        jit=True,
    )
