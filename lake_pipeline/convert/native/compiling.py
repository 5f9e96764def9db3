"""Compiling: from the functions in `source` to one object file that needs nothing of numba when it runs.

numba makes LLVM's language of each function, as it comes: the optimiser runs once, over all of them together, which
takes half of the time and makes a scan 9 % faster than optimising each function and then whoever calls it. The only
module that imports numba beside `source`, in a process of its own (see `__main__`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import llvmlite.binding as llvm
from numba import types

from lake_pipeline.convert.native.functions import FUNCTIONS, PREFIX
from lake_pipeline.convert.native.processors import Processor, target_machine

# The form of a function of numba: where its result goes, where an error would be described, and its numbers.
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


class Unfit(Exception):
    """What was compiled would need something at run time that is not there."""


def translated() -> str:
    """All functions in LLVM's language, not optimised, for every processor of this architecture."""
    module = llvm.parse_assembly("")
    for source, functions in FUNCTIONS.items():
        for name, numbers in functions.items():
            function = getattr(import_module(f"lake_pipeline.convert.native.source.{source}"), name)
            for part in _parts(function, PREFIX + name, numbers):
                module.link_in(llvm.parse_assembly(part))
    for each in [*module.functions, *module.global_variables]:
        if not each.is_declaration and not each.name.startswith(PREFIX):
            each.linkage = "internal"
    module.verify()
    return str(module)


def object_file(whole: str, processor: Processor) -> bytes:
    """The object file of what `translated` gave. Raises `Unfit`."""
    module = llvm.parse_assembly(whole)
    machine = target_machine(processor)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    _must_be_fit(module)
    code: bytes = machine.emit_object(module)
    return code


def _parts(function: Any, name: str, numbers: int) -> tuple[str, str]:
    """A function of numba with all that it calls, and one around it that is called as C does."""
    signature = (types.int64,) * numbers
    function.compile(signature)
    compiled = function.overloads[signature]
    wrapper = _WRAPPER.format(
        numba_name=compiled.fndesc.llvm_func_name,
        name=name,
        types=", ".join(["i64"] * numbers),
        arguments=", ".join(f"i64 %n{number}" for number in range(numbers)),
    )
    return compiled.library.get_llvm_str(), wrapper


def _must_be_fit(module: Any) -> None:
    """An exception would be described by something pickled; what is declared only would have to be found."""
    missing = [each.name for each in module.functions if each.is_declaration and not each.name.startswith("llvm.")]
    raised = [each.name for each in module.global_variables if "pickle" in each.name]
    if missing or raised:
        raise Unfit(f"The machine code would call {missing} and raise {raised}.")
