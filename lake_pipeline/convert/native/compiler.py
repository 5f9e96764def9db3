"""The compiler: from the functions in `source` to one object file that needs no numba when it runs.

`python -m lake_pipeline.convert.native.compiler FOLDER PROCESSOR ...` writes one object file per processor.
`code_cache` runs it, with the environment that it needs. Only this module and `source` import numba.

numba translates each function without optimizing, and LLVM optimizes all of them at once. That takes half of the time,
and the scan is 9 % faster than if each function is optimized before its callers.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba import types

from lake_pipeline.convert.native.functions import FUNCTIONS, PREFIX
from lake_pipeline.convert.native.processors import Processor, processors, target_machine

# numba's calling convention: where to store the result, where to store an error, then the arguments.
_WRAPPER = """
declare i32 @"{numba_name}"(ptr, ptr, {types})
define i64 @{name}({arguments}) {{
  %result = alloca i64
  %error = alloca ptr
  %status = call i32 @"{numba_name}"(ptr %result, ptr %error, {arguments})
  %value = load i64, ptr %result
  ret i64 %value
}}
"""


class NotSelfContained(Exception):
    """The compiled code would need something at run time that is not available there."""


def main() -> None:
    folder, *names = sys.argv[1:]
    module = translate()
    for processor in processors():
        if processor.name in names:
            Path(folder, processor.name).write_bytes(compile_object(module, processor))


def translate() -> str:
    """All functions as unoptimized LLVM assembly, for every processor of this architecture."""
    module = llvm.parse_assembly("")
    for source, functions in FUNCTIONS.items():
        for name, argument_count in functions.items():
            function = getattr(import_module(f"lake_pipeline.convert.native.source.{source}"), name)
            for assembly in _assemblies(function, PREFIX + name, argument_count):
                module.link_in(llvm.parse_assembly(assembly))
    for symbol in [*module.functions, *module.global_variables]:
        if not symbol.is_declaration and not symbol.name.startswith(PREFIX):
            symbol.linkage = "internal"
    module.verify()
    return str(module)


def compile_object(assembly: str, processor: Processor) -> bytes:
    """The object file of the output of `translate`. Raises `NotSelfContained`."""
    module = llvm.parse_assembly(assembly)
    machine = target_machine(processor)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    _check_self_contained(module)
    code: bytes = machine.emit_object(module)
    return code


def _assemblies(function: Any, name: str, argument_count: int) -> tuple[str, str]:
    """A function with everything that it calls, and a wrapper with C's calling convention."""
    signature = (types.int64,) * argument_count
    function.compile(signature)
    compiled = function.overloads[signature]
    wrapper = _WRAPPER.format(
        numba_name=compiled.fndesc.llvm_func_name,
        name=name,
        types=", ".join(["i64"] * argument_count),
        arguments=", ".join(f"i64 %n{number}" for number in range(argument_count)),
    )
    return compiled.library.get_llvm_str(), wrapper


def _check_self_contained(module: Any) -> None:
    """Code that raises contains a pickled exception, and code that calls out has a function without a body."""
    calls = [
        symbol.name for symbol in module.functions if symbol.is_declaration and not symbol.name.startswith("llvm.")
    ]
    raises = [symbol.name for symbol in module.global_variables if "pickle" in symbol.name]
    if calls or raises:
        raise NotSelfContained(f"The machine code would call {calls} and raise {raises}.")


if __name__ == "__main__":
    main()
