"""The weights inside an ONNX file, read without the onnx package, which inference does not install.

Only what is needed of the format: https://protobuf.dev/programming-guides/encoding and onnx/onnx.proto at v1.16, fields
ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.data_type = 2, float_data = 4, name = 8, raw_data = 9.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

_GRAPH, _INITIALIZER = 7, 5
_DATA_TYPE, _FLOAT_DATA, _NAME, _RAW_DATA = 2, 4, 8, 9
_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}  # TensorProto.DataType; whole numbers are always finite
_Content = memoryview | int
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # wire types


def floats(path: Path) -> Iterator[tuple[str, npt.NDArray[np.floating]]]:
    """Name and values of each tensor of floating-point numbers; nothing more where the file is cut or no ONNX."""
    for field, graph in _fields(memoryview(path.read_bytes())):
        if field == _GRAPH and isinstance(graph, memoryview):
            for inner, tensor in _fields(graph):
                if inner == _INITIALIZER and isinstance(tensor, memoryview):
                    yield from _floats_of(dict(_fields(tensor)))


def _floats_of(tensor: dict[int, _Content]) -> Iterator[tuple[str, npt.NDArray[np.floating]]]:
    kind, name = tensor.get(_DATA_TYPE), tensor.get(_NAME)
    values = tensor.get(_RAW_DATA, tensor.get(_FLOAT_DATA))  # neither where the numbers lie in another file
    if isinstance(kind, int) and kind in _TYPES and isinstance(values, memoryview):
        whole = len(values) - len(values) % np.dtype(_TYPES[kind]).itemsize
        shown = bytes(name).decode(errors="replace") if isinstance(name, memoryview) else ""
        yield shown, np.frombuffer(values[:whole], _TYPES[kind])


def _fields(data: memoryview) -> Iterator[tuple[int, _Content]]:
    """(number, content) of a message's fields; a number for a varint, bytes for anything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_FIXED_64, _FIXED_32):
            length = 8 if kind == _FIXED_64 else 4
        else:
            return
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, at
