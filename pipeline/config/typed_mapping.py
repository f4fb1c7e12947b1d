"""A mapping read from YAML as typed, frozen dataclasses.

Unknown keys and wrong types are refused with the parameter's full name, what was expected and the nearest known name.
settings.py says what params.yaml may hold.
"""

import dataclasses
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from yolox_core.errors import InputError, nearest


def typed(kind: Any, value: Any, where: str) -> Any:
    """`value` as an instance of `kind`, a type annotation; dataclasses are filled from mappings."""
    if dataclasses.is_dataclass(kind):
        return _filled(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return typed(_meant(arguments, value), value, where)
    if origin is Literal:
        if not any(value == argument and type(value) is type(argument) for argument in arguments):
            known = [str(argument).lower() if isinstance(argument, bool) else str(argument) for argument in arguments]
            near = nearest(value if isinstance(value, str) else "", known)
            raise InputError(f"{where}: expected one of {', '.join(known)}, got {shown(value)}. {near}")
        return value
    if origin is tuple:
        return _typed_tuple(arguments, value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: expected a mapping, got {shown(value)}.")
        return dict(value)
    return _scalar(kind, value, where)


def _meant(kinds: tuple[Any, ...], value: Any) -> Any:
    """Which of several kinds a value of this shape is meant as; the first one where none fits better."""
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    for kind in kinds:
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            return kind
        if typing.get_origin(kind) is tuple and isinstance(value, (list, tuple)):
            return kind
    return kinds[0]


def _filled(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"{where or 'params.yaml'}: expected a mapping of names to values, got {shown(value)}.")
    hints = typing.get_type_hints(kind)
    fields = {entry.name.rstrip("_"): entry.name for entry in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise InputError(f"params.yaml: unknown parameter '{_join(where, str(key))}'. {nearest(str(key), fields)}")
    return kind(**{fields[key]: typed(hints[fields[key]], entry, _join(where, key)) for key, entry in value.items()})


def _typed_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: expected a list, got {shown(value)}.")
        return tuple(typed(arguments[0], entry, f"{where}[{index}]") for index, entry in enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool) and where.endswith("input_size"):
        value = [value, value]  # a single side means a square
    if not isinstance(value, (list, tuple)) or len(value) != len(arguments):
        raise InputError(f"{where}: expected a list of {len(arguments)} numbers, got {shown(value)}.")
    return tuple(typed(kind, entry, where) for kind, entry in zip(arguments, value, strict=True))


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{where}: expected a finite number, got {shown(value)}.") from None
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 1e-3 as text; people mean the number
        try:
            return float(value)
        except ValueError:
            raise InputError(f"{where}: expected a number, got {shown(value)}.") from None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        raise InputError(f"{where}: expected {names.get(kind, kind)}, got {shown(value)}.")
    return value


def shown(value: Any) -> str:
    """`value` as it may stand in a message: aliases let a short file hold a value of endless text."""
    try:
        return reprlib.repr(value)[:200]
    except ValueError:  # Python writes out no more than 4300 digits
        return "a number of thousands of digits"


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
