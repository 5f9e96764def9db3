"""Intrinsics: loads, stores, vectors and bit operations, as machine instructions that numba has no name for.

A text is the address of its first byte. An array would be reference-counted, and the atomic operations took a third of
a scan. Nothing here checks bounds: callers ensure that the bytes exist. LLVM compiles a vector to what the processor
has, which is one instruction with AVX2 and two with SSE2 or NEON.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lake_pipeline.convert.native.layout import KEY_VECTOR_BYTES, VECTOR_BYTES
from lake_pipeline.convert.native.source.ascii import BACKSLASH, NEWLINE, QUOTE, RETURN, SPACE, TAB

_BYTE, _INT, _LONG = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def _pointer(builder: Any, text: Any, at: Any) -> Any:
    return builder.inttoptr(builder.add(text, at), _BYTE.as_pointer())


def _vector(builder: Any, address: Any, width: int) -> Any:
    return builder.load(builder.bitcast(address, ir.VectorType(_BYTE, width).as_pointer()), align=1)


def _all(number: int, width: int) -> Any:
    return ir.Constant(ir.VectorType(_BYTE, width), [number] * width)


def _bits(builder: Any, lanes: Any, width: int) -> Any:
    """One bit per lane of a comparison. The first byte has the lowest bit."""
    return builder.zext(builder.bitcast(lanes, ir.IntType(width)), _LONG)


@intrinsic
def load_byte(typing: Any, text: Any, at: Any) -> Any:
    """One byte."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, *arguments))

    return types.uint8(types.int64, types.int64), generate


@intrinsic
def load_uint64(typing: Any, text: Any, at: Any) -> Any:
    """Eight bytes as an integer, little-endian, at any address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(_pointer(builder, *arguments), _LONG.as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def special_bits(typing: Any, text: Any, at: Any) -> Any:
    """One bit per byte of a vector: set for a quote, a backslash, a control character and bytes above ASCII."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(builder, _pointer(builder, *arguments), VECTOR_BYTES)
        # As signed integers, bytes from 128 on are negative.
        special = builder.icmp_signed("<", vector, _all(SPACE, VECTOR_BYTES))
        for byte in (QUOTE, BACKSLASH):
            special = builder.or_(special, builder.icmp_signed("==", vector, _all(byte, VECTOR_BYTES)))
        return _bits(builder, special, VECTOR_BYTES)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def differing_bits(typing: Any, text: Any, at: Any, other: Any, other_at: Any) -> Any:
    """One bit per byte of two short vectors: set if the bytes differ."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sides = [_vector(builder, _pointer(builder, *arguments[side : side + 2]), KEY_VECTOR_BYTES) for side in (0, 2)]
        return _bits(builder, builder.icmp_signed("!=", *sides), KEY_VECTOR_BYTES)

    return types.uint64(*[types.int64] * 4), generate


@intrinsic
def equal_bits(typing: Any, text: Any, at: Any, byte: Any) -> Any:
    """One bit per byte of a vector: set if it equals `byte`, which must be a literal."""
    if not isinstance(byte, types.IntegerLiteral):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(builder, _pointer(builder, *arguments[:2]), VECTOR_BYTES)
        return _bits(builder, builder.icmp_signed("==", vector, _all(byte.literal_value, VECTOR_BYTES)), VECTOR_BYTES)

    return types.uint64(types.int64, types.int64, byte), generate


@intrinsic
def blank_bits(typing: Any, text: Any, at: Any) -> Any:
    """One bit per byte of a vector: set for a space, tab, return and newline."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(builder, _pointer(builder, *arguments), VECTOR_BYTES)
        blank = builder.icmp_signed("==", vector, _all(SPACE, VECTOR_BYTES))
        for byte in (TAB, NEWLINE, RETURN):
            blank = builder.or_(blank, builder.icmp_signed("==", vector, _all(byte, VECTOR_BYTES)))
        return _bits(builder, blank, VECTOR_BYTES)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def count_bits(typing: Any, bits: Any) -> Any:
    """The number of bits that are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def lowest_bit(typing: Any, bits: Any) -> Any:
    """The index of the lowest bit that is set. There must be one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def load_int64(typing: Any, array: Any, index: Any) -> Any:
    """An item of the array of 64-bit integers at an aligned address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_item(builder, arguments, _LONG))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def store_int64(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Set an item of the array of 64-bit integers at an aligned address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _item(builder, arguments, _LONG))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def load_int32(typing: Any, array: Any, index: Any) -> Any:
    """An item of the array of 32-bit integers at any address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sext(builder.load(_item(builder, arguments, _INT), align=1), _LONG)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def store_int32(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Set an item of the array of 32-bit integers at any address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(builder.trunc(arguments[2], _INT), _item(builder, arguments, _INT), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def store_uint64(typing: Any, text: Any, at: Any, value: Any) -> Any:
    """Set eight bytes at any address, little-endian."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(_pointer(builder, *arguments[:2]), _LONG.as_pointer())
        builder.store(arguments[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint64), generate


@intrinsic
def load_double(typing: Any, array: Any, index: Any) -> Any:
    """An item of the array of 64-bit floats at an aligned address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_item(builder, arguments, ir.DoubleType()))

    return types.float64(types.int64, types.int64), generate


@intrinsic
def reversed_bytes(typing: Any, word: Any) -> Any:
    """Eight bytes in reverse order."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def store_byte(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Set one byte."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _item(builder, arguments, _BYTE))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint8), generate


@intrinsic
def copy_vector(typing: Any, text: Any, at: Any, target: Any, target_at: Any) -> Any:
    """Copy `VECTOR_BYTES` bytes, which must exist on both sides."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = builder.bitcast(_pointer(builder, *arguments[2:]), ir.VectorType(_BYTE, VECTOR_BYTES).as_pointer())
        builder.store(_vector(builder, _pointer(builder, *arguments[:2]), VECTOR_BYTES), target, align=1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def prefetch(typing: Any, text: Any, at: Any) -> Any:
    """Load bytes that are read soon into the cache of the processor. The address may be invalid."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INT, _INT, _INT])
        function = builder.module.declare_intrinsic("llvm.prefetch", [_BYTE.as_pointer()], kind)
        for_reading, near, data = _INT(0), _INT(3), _INT(1)
        builder.call(function, [_pointer(builder, *arguments), for_reading, near, data])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _item(builder: Any, arguments: Any, kind: Any) -> Any:
    return builder.gep(builder.inttoptr(arguments[0], kind.as_pointer()), [arguments[1]])
