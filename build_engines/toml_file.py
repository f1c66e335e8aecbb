"""Settings dataclasses as TOML, all fields spelt out."""

import dataclasses
import json
from typing import Any


def to_toml(settings: Any, tables: dict[str, Any] | None = None) -> str:
    """Scalars first, then a table per nested dataclass and an array of tables per tuple of dataclasses.

    ``settings``: a dataclass instance. ``tables``: further dataclass instances by table name.
    """
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)} | (tables or {})
    lines = [f"{key} = {_scalar(value)}" for key, value in values.items() if not _is_table(value)]
    for key, value in values.items():
        if not _is_table(value):
            continue
        header = f"[[{key}]]" if isinstance(value, tuple) else f"[{key}]"
        for one in value if isinstance(value, tuple) else (value,):
            lines += ["", header, *(f"{k} = {_scalar(v)}" for k, v in _fields(one).items())]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, tuple) or dataclasses.is_dataclass(value)


def _fields(instance: Any) -> dict[str, Any]:
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}


def _scalar(value: Any) -> str:
    return json.dumps(value)  # TOML writes booleans, numbers and plain strings as JSON does
