"""Small ONNX graphs, written in the format's own bytes: nobody needs the onnx package to have one."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

FLOAT, INT64 = 1, 7  # TensorProto.DataType
OPSET, IR = 13, 8
Shape = Sequence[int | str]  # a text is an axis that is free
Attribute = int | float | Sequence[int]


@dataclass(frozen=True)
class Node:
    """One operation."""

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def model(nodes: Sequence[Node], constants: Mapping[str, np.ndarray], takes: tuple[str, Shape], gives: tuple[str, Shape]) -> bytes:
    """A whole model: `takes` and `gives` name its input and output, float32 both, with their shapes."""
    graph = b"".join(_message(1, _node(node)) for node in nodes) + _text(2, "graph")
    graph += b"".join(_message(5, _tensor(name, value)) for name, value in constants.items())
    graph += _message(11, _value(*takes)) + _message(12, _value(*gives))
    return _number(1, IR) + _message(7, graph) + _message(8, _text(1, "") + _number(2, OPSET))


def _node(node: Node) -> bytes:
    raw = b"".join(_text(1, name) for name in node.inputs) + b"".join(_text(2, name) for name in node.outputs)
    return raw + _text(4, node.op) + b"".join(_message(5, _attribute(name, value)) for name, value in node.attributes.items())


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        return _text(1, name) + _key(2, 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, 2)
    return _text(1, name) + b"".join(_number(8, one) for one in value) + _number(20, 7)


def _tensor(name: str, value: np.ndarray) -> bytes:
    kind, plain = (INT64, value.astype("<i8")) if value.dtype.kind == "i" else (FLOAT, value.astype("<f4"))
    return b"".join(_number(1, side) for side in value.shape) + _number(2, kind) + _text(8, name) + _message(9, plain.tobytes())


def _value(name: str, shape: Shape) -> bytes:
    sides = b"".join(_message(1, _text(2, side) if isinstance(side, str) else _number(1, side)) for side in shape)
    return _text(1, name) + _message(2, _message(1, _number(1, FLOAT) + _message(2, sides)))


def _key(field_number: int, wire: int) -> bytes:
    return _varint(field_number << 3 | wire)


def _number(field_number: int, value: int) -> bytes:
    return _key(field_number, 0) + _varint(value & (1 << 64) - 1)


def _text(field_number: int, text: str) -> bytes:
    return _message(field_number, text.encode())


def _message(field_number: int, content: bytes) -> bytes:
    return _key(field_number, 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
