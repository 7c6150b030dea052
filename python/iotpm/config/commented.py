"""The commented example, derived from the model, so that it cannot go stale."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
from msgspec import NODEFAULT, inspect

from iotpm.config.describe import allowed

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLES = ("machine",)

_HEAD = """\
# iotpm configuration. Every key with its default; keys that have none are commented out, with a sample.
# Environment variables override keys: IOTPM_NODE__HTTP_PORT=9100 sets http_port of [node]; so does a .env file.
"""


def commented(model: type[msgspec.Struct]) -> str:
    """Commented TOML of all keys of `model`."""
    blocks = [_HEAD]
    for name, struct, repeated in _sections(model):
        block = _sample(name, struct) if name in _SAMPLES else _block(name, struct, repeated)
        blocks.append("\n".join(block) + "\n")
    return "\n".join(blocks)


def _sample(name: str, struct: type[msgspec.Struct]) -> Iterator[str]:
    """A whole table as a comment: one that makes things has no default."""
    lines = list(_block(name, struct, repeated=True, samples=True))
    yield from (line if line.startswith("# ") or not line else f"#{line}" for line in lines)


def _sections(model: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct], bool]]:
    for item in msgspec.structs.fields(model):
        info = _bare(inspect.type_info(item.type))
        if isinstance(info, inspect.VarTupleType):
            info = _bare(info.item_type)
            assert isinstance(info, inspect.StructType)
            yield item.encode_name, info.cls, True
        elif isinstance(info, inspect.StructType):
            yield item.encode_name, info.cls, False


def _block(name: str, struct: type[msgspec.Struct], repeated: bool, samples: bool = False) -> Iterator[str]:
    yield from (f"# {line}".rstrip() for line in (struct.__doc__ or "").splitlines() if line.strip())
    yield f"[[{name}]]" if repeated else f"[{name}]"
    yield from _table(name, struct, samples)


def _table(name: str, struct: type[msgspec.Struct], samples: bool) -> Iterator[str]:
    yield from _keys(struct, samples)
    for key, inner in _inner(struct):
        yield ""
        yield f"[{name}.{key}]"
        yield from _table(f"{name}.{key}", inner, samples)


def _inner(struct: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for item in msgspec.structs.fields(struct):
        info = _bare(inspect.type_info(item.type))
        if isinstance(info, inspect.StructType):
            yield item.encode_name, info.cls


def _keys(struct: type[msgspec.Struct], samples: bool) -> Iterator[str]:
    hints = get_type_hints(struct, include_extras=True)
    inner = {key for key, _ in _inner(struct)}
    for item in msgspec.structs.fields(struct):
        if item.encode_name not in inner:
            yield from _key(item.encode_name, item.default, hints[item.name], samples)


def _key(name: str, default: Any, hint: Any, samples: bool) -> Iterator[str]:
    info = inspect.type_info(hint)
    schema = (info.extra_json_schema or {}) if isinstance(info, inspect.Metadata) else {}
    yield f"# {schema.get('description', name)} ({allowed(hint)})"
    assert default is not NODEFAULT, f"{name} needs a default"
    if samples:
        yield f"{name} = {_toml(schema.get('examples', [default])[0])}"
    elif default is None:
        yield f"# {name} = {_toml(schema['examples'][0])}"
    else:
        yield f"{name} = {_toml(default)}"


def _bare(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def _toml(value: object) -> str:
    """TOML's basic strings, numbers, booleans and arrays of them are written as JSON writes them."""
    return json.dumps(value)
