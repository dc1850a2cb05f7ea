"""Every key of a config with its type, default, range and meaning, from the models themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from fpnkit.config.schema import AnyConfig, Config

_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
_MOST_WORDS = 5  # of a choice, in the column of types


@dataclass(frozen=True)
class Key:
    """One setting."""

    path: str  # `codec.latent_channels`
    where: str  # the kind of its section, or the task, that has it: `fused`; empty: all
    type: str
    default: str  # `required` where there is none
    range: str
    meaning: str


def json_schema() -> dict[str, Any]:
    """For editors that check and complete YAML."""
    adapter: TypeAdapter[Config] = TypeAdapter(AnyConfig)
    found = adapter.json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fpnkit config", **found}


def keys() -> list[Key]:
    """All, in the order of the models; one that both tasks have alike stands once."""
    schema = json_schema()
    tasks = [_resolved(task, schema) for task in schema["oneOf"]]
    of_each = [{(key.path, key.where): key for key in _keys(task, schema, "", "")} for task in tasks]
    found = []
    for task, own, other in zip(tasks, of_each, reversed(of_each), strict=True):
        name = task["properties"]["task"]["const"]
        for place, key in own.items():
            if other.get(place, key) != key:
                found.append(replace(key, where=key.where or name))
            elif place not in other or own is of_each[0]:
                found.append(key)
    return found


def _keys(section: Mapping[str, Any], schema: Mapping[str, Any], prefix: str, where: str) -> Iterator[Key]:
    for name, field in section["properties"].items():
        path = f"{prefix}{name}"
        sections = _sections(field, schema)
        if sections:
            for kind, inner in sections:
                yield from _keys(inner, schema, f"{path}.", kind)
        else:
            yield _key(path, where, field, name in section.get("required", ()))


def _sections(field: Mapping[str, Any], schema: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The sections that a key may hold, each with its kind."""
    choices = field.get("oneOf") or field.get("anyOf") or [field]
    choices = [inner for choice in choices for inner in choice.get("oneOf", [choice])]
    found = [_resolved(choice, schema) for choice in choices if "$ref" in choice]
    return [(each["properties"].get("kind", {}).get("const", ""), each) for each in found if "properties" in each]


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref")
    found: Mapping[str, Any] = field if reference is None else schema["$defs"][reference.rpartition("/")[2]]
    return found


def _key(path: str, where: str, field: Mapping[str, Any], required: bool) -> Key:
    choices = [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]
    one = choices[0]
    words = [str(word) for word in one.get("enum", [one["const"]] if "const" in one else [])]
    default = "required" if required else json.dumps(field.get("default"), ensure_ascii=False)
    meaning = " ".join(field.get("description", "").split())
    if len(words) > _MOST_WORDS:
        meaning, words = f"{meaning} One of {', '.join(words)}.", ["a name"]
    kind = " or ".join(words) or _type(one)
    return Key(path, where, kind, default, _range(one), meaning)


def _type(field: Mapping[str, Any]) -> str:
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("type") == "object":
        return "name: value"
    return _TYPES.get(str(field.get("type")), "anything")


def _range(field: Mapping[str, Any]) -> str:
    parts = [
        f"{sign} {field[name]:g}"
        for name, sign in (("exclusiveMinimum", ">"), ("minimum", "≥"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if name in field
    ]
    return ", ".join(parts)
