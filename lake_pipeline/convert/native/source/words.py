"""Words: many bytes of a text at a time, as machine instructions that numba has no name for.

A text is the address of its first byte, so that handing it on costs nothing (an array is counted, in atomic
operations that took a third of a scan). Nothing here looks at bounds: whoever calls makes sure that so many bytes are
there. LLVM turns the vectors into what the processor has: one instruction with AVX2, two with SSE2 or NEON.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lake_pipeline.convert.native.layout import NARROW, WIDE

_BYTE, _INT, _LONG = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def _pointer(builder: Any, text: Any, at: Any) -> Any:
    return builder.inttoptr(builder.add(text, at), _BYTE.as_pointer())


def _vector(builder: Any, address: Any, width: int) -> Any:
    return builder.load(builder.bitcast(address, ir.VectorType(_BYTE, width).as_pointer()), align=1)


def _all(number: int, width: int) -> Any:
    return ir.Constant(ir.VectorType(_BYTE, width), [number] * width)


def _bits(builder: Any, lanes: Any, width: int) -> Any:
    """A bit for each lane of a comparison, the first byte's the lowest."""
    return builder.zext(builder.bitcast(lanes, ir.IntType(width)), _LONG)


@intrinsic
def byte_at(typing: Any, text: Any, at: Any) -> Any:
    """One byte."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, *arguments))

    return types.uint8(types.int64, types.int64), generate


@intrinsic
def word_at(typing: Any, text: Any, at: Any) -> Any:
    """Eight bytes as a number, the first of them the lowest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(_pointer(builder, *arguments), _LONG.as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def special_bytes(typing: Any, text: Any, at: Any) -> Any:
    """A bit for each of `WIDE` bytes that is no plain character of a string: a quote, a backslash, a control
    character, or part of a character beyond ASCII."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = _vector(builder, _pointer(builder, *arguments), WIDE)
        # As signed numbers, bytes from 128 on are below zero.
        odd = builder.icmp_signed("<", found, _all(32, WIDE))
        for byte in (34, 92):
            odd = builder.or_(odd, builder.icmp_signed("==", found, _all(byte, WIDE)))
        return _bits(builder, odd, WIDE)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def differing_bytes(typing: Any, text: Any, at: Any, other: Any, other_at: Any) -> Any:
    """A bit for each of `NARROW` bytes that is not the same on both sides."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sides = [_vector(builder, _pointer(builder, *arguments[side : side + 2]), NARROW) for side in (0, 2)]
        return _bits(builder, builder.icmp_signed("!=", *sides), NARROW)

    return types.uint64(*[types.int64] * 4), generate


@intrinsic
def equal_bytes(typing: Any, text: Any, at: Any, wanted: Any) -> Any:
    """A bit for each of `WIDE` bytes that is `wanted`, a literal."""
    if not isinstance(wanted, types.IntegerLiteral):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = _vector(builder, _pointer(builder, *arguments[:2]), WIDE)
        return _bits(builder, builder.icmp_signed("==", found, _all(wanted.literal_value, WIDE)), WIDE)

    return types.uint64(types.int64, types.int64, wanted), generate


@intrinsic
def blank_bytes(typing: Any, text: Any, at: Any) -> Any:
    """A bit for each of `WIDE` bytes that is a space, a tab, a return or a newline."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = _vector(builder, _pointer(builder, *arguments), WIDE)
        blank = builder.icmp_signed("==", found, _all(32, WIDE))
        for byte in (9, 10, 13):
            blank = builder.or_(blank, builder.icmp_signed("==", found, _all(byte, WIDE)))
        return _bits(builder, blank, WIDE)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def count_bits(typing: Any, bits: Any) -> Any:
    """How many bits are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def first_bit(typing: Any, bits: Any) -> Any:
    """The place of the lowest bit that is set. There must be one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def long_at(typing: Any, numbers: Any, index: Any) -> Any:
    """One of the 64-bit integers at the address `numbers`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_slot(builder, arguments, _LONG))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def put_long(typing: Any, numbers: Any, index: Any, value: Any) -> Any:
    """Set one of the 64-bit integers at the address `numbers`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _slot(builder, arguments, _LONG))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def int_at(typing: Any, numbers: Any, index: Any) -> Any:
    """One of the 32-bit integers at the address `numbers`, which may be any."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sext(builder.load(_slot(builder, arguments, _INT), align=1), _LONG)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def put_int(typing: Any, numbers: Any, index: Any, value: Any) -> Any:
    """Set one of the 32-bit integers at the address `numbers`, which may be any."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(builder.trunc(arguments[2], _INT), _slot(builder, arguments, _INT), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def put_word(typing: Any, text: Any, at: Any, value: Any) -> Any:
    """Set eight bytes, the first of them to the lowest of a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(_pointer(builder, *arguments[:2]), _LONG.as_pointer())
        builder.store(arguments[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint64), generate


@intrinsic
def double_at(typing: Any, numbers: Any, index: Any) -> Any:
    """One of the 64-bit floats at the address `numbers`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_slot(builder, arguments, ir.DoubleType()))

    return types.float64(types.int64, types.int64), generate


@intrinsic
def reversed_bytes(typing: Any, word: Any) -> Any:
    """The same eight bytes, the last of them first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def put_byte(typing: Any, numbers: Any, index: Any, value: Any) -> Any:
    """Set one of the bytes at the address `numbers`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _slot(builder, arguments, _BYTE))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint8), generate


@intrinsic
def copy_wide(typing: Any, text: Any, at: Any, into: Any, into_at: Any) -> Any:
    """Copy `WIDE` bytes, which must be there on both sides."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = builder.bitcast(_pointer(builder, *arguments[2:]), ir.VectorType(_BYTE, WIDE).as_pointer())
        builder.store(_vector(builder, _pointer(builder, *arguments[:2]), WIDE), target, align=1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def expect_bytes(typing: Any, text: Any, at: Any) -> Any:
    """Have the processor bring the bytes there into its cache, for they are read soon. Nothing need be there."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INT, _INT, _INT])
        function = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE.as_pointer()], kind)
        for_reading, near, data = _INT(0), _INT(3), _INT(1)
        builder.call(function, [_pointer(builder, *arguments), for_reading, near, data])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _slot(builder: Any, arguments: Any, kind: Any) -> Any:
    return builder.gep(builder.inttoptr(arguments[0], kind.as_pointer()), [arguments[1]])
