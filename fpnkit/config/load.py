"""Load a configuration from a YAML file and overrides; report all problems at once, with their places."""

from __future__ import annotations

import copy
import difflib
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from fpnkit.config.schema import DEFAULT_CODEC, AnyConfig, Config
from fpnkit.config.yaml import Path, YamlDocument, parse, parse_value
from fpnkit.errors import ConfigError
from fpnkit.foundation.redact import without_secrets
from fpnkit.foundation.text import cut

_ADAPTER: TypeAdapter[Config] = TypeAdapter(AnyConfig)
_LONGEST_SHOWN = 200  # of what somebody typed
_TAGS = ("task", "kind")  # the keys that choose between kinds of sections


@dataclass(frozen=True)
class Override:
    """A value given on the command line; `origin` is how the user wrote it."""

    path: tuple[str, ...]
    value: Any
    origin: str


def parse_override(text: str) -> Override:
    """`key.path=value`, the value read as YAML."""
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigError([f"--set {text}: required key.path=value, such as training.lr=1e-4"])
    try:
        return Override(path, parse_value(value), f"--set {text}")
    except yaml.YAMLError as error:
        shown = cut(text, _LONGEST_SHOWN)
        raise ConfigError([f"--set {shown}: the value is not YAML: {getattr(error, 'problem', error)}"]) from None


def load_config(file: FilePath | str, overrides: Sequence[Override] = ()) -> Config:
    """Read, override, validate; raises `ConfigError` that lists every problem as `file:line: key: what`."""
    file = FilePath(file)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{file}: not YAML: required UTF-8 text"]) from None
    source = copy.deepcopy(_parsed(text))
    if source.problems:
        raise ConfigError([f"{file}:{line}: {problem}" for line, problem in source.problems])
    origins = _apply(source.data, overrides)
    _find_beside(source.data, file)
    try:
        return validate(source.data)
    except ValidationError as error:
        found = [_problem(item, source, origins, file) for item in error.errors()]
        found.sort(key=lambda item: item[0])
        raise ConfigError([problem for _, problem in found]) from None


@functools.lru_cache(maxsize=8)  # a sweep reads its file once for each lambda
def _parsed(text: str) -> YamlDocument:
    return parse(text)


def _find_beside(data: dict[str, Any], file: FilePath) -> None:
    """A detector's module that lies beside the config is meant by its path, which a run can find again."""
    detector: Any = data.get("detector")
    code = detector.get("class") if isinstance(detector, dict) else None
    if isinstance(code, str):
        module, colon, name = code.partition(":")
        path = file.parent.absolute() / f"{module.replace('.', '/')}.py"
        if colon and not module.endswith(".py") and path.is_file():
            detector["class"] = f"{path}:{name}"


def validate(data: Mapping[str, Any]) -> Config:
    """A config from plain values, such as those in a checkpoint; raises pydantic's `ValidationError`."""
    # As JSON, not as Python values: strict mode then accepts a list for a tuple but still refuses true for 1.
    return _ADAPTER.validate_json(json.dumps(data))


def plain(config: Config) -> dict[str, Any]:
    """JSON values with every default spelled out; `validate` reads them back."""
    data: dict[str, Any] = config.model_dump(mode="json", by_alias=True)
    return data


def shown_settings(config: Config) -> dict[str, Any]:
    """Like `plain`, without secrets; for files."""
    settings: dict[str, Any] = without_secrets(plain(config))
    return settings


def to_yaml(settings: Mapping[str, Any]) -> str:
    """What `plain` gave as text; `load_config` reads it back to an equal config."""
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)


def _apply(data: dict[str, Any], overrides: Sequence[Override]) -> dict[Path, str]:
    origins: dict[Path, str] = {}
    for override in overrides:
        section = data
        for depth, key in enumerate(override.path[:-1], start=1):
            inner = section.setdefault(key, {})
            if not isinstance(inner, dict):
                place = ".".join(override.path[:depth])
                raise ConfigError([f"{override.origin}: {place} is the value {inner!r}, not a section"])
            section = inner
        section[override.path[-1]] = override.value
        origins[override.path] = override.origin
    return origins


def _problem(
    error: ErrorDetails, source: YamlDocument, origins: Mapping[Path, str], file: FilePath
) -> tuple[tuple[int, int], str]:
    """(sort key, text) of one problem."""
    path = _without_tags(error["loc"], source.data)
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path = (*path, str(error["ctx"]["discriminator"]).strip("'"))
    if error["type"] == "unfit":
        path = (*path, *error["ctx"]["key"])
    if error["type"] == "json_invalid":  # all that YAML and JSON hold but UTF-8 cannot
        path = _undecodable(source.data) or path
    text = f"{'.'.join(map(str, path))}: {_text(error, path, source.data)}"
    overridden = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in origins), None)
    if overridden is None and path not in source.lines:  # a section that only an override brought in
        overridden = next((key for key in origins if key[: len(path)] == path), None)
    if overridden is not None:
        return (1, list(origins).index(overridden)), f"{origins[overridden]}: {text}"
    line = source.line(path)
    return (0, line), f"{file}:{line}: {text}"


def _undecodable(data: Any) -> Path | None:
    """Where the first text lies that came from bytes which are no UTF-8, such as a file's name."""
    if isinstance(data, str):
        return None if data.isascii() or data.encode(errors="ignore").decode() == data else ()
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return next(((key, *inner) for key, value in items if (inner := _undecodable(value)) is not None), None)


def _without_tags(loc: Path, data: Any) -> Path:
    """pydantic's location without the union tags it inserts, which are not keys of the file."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(data, dict) and part not in data and part in [DEFAULT_CODEC, *map(data.get, _TAGS)]:
            continue
        path.append(part)
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return tuple(path)


_REQUIRED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
    "dict_type": "a section with keys",
    "dict_attributes_type": "a section with keys",
    "tuple_type": "a list",
    "finite_number": "a finite number",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
}


def _text(error: ErrorDetails, path: Path, data: Mapping[str, Any]) -> str:
    kind, context, found = error["type"], error.get("ctx", {}), json.dumps(error["input"], ensure_ascii=False)
    if kind == "extra_forbidden":
        return "unknown key; " + _nearest(str(path[-1]), _known_keys(path[:-1], data))
    if kind == "missing":
        return "required, but missing"
    if kind == "union_tag_not_found":
        return f"required, but missing; one of {', '.join(_choices(path, data))}"
    if kind == "union_tag_invalid":
        return f"unknown value {json.dumps(context['tag'])}; " + _nearest(str(context["tag"]), _choices(path, data))
    if kind == "literal_error":
        choices = [choice.strip("' ") for choice in str(context["expected"]).replace(" or ", ",").split(",")]
        return f"unknown value {found}; " + _nearest(str(error["input"]), choices)
    if kind == "unfit":
        return str(context["problem"])
    if kind == "json_invalid":
        return "required text in UTF-8, found other bytes"
    if kind == "value_error":
        return str(context["error"])
    if kind in _REQUIRED:
        return f"required {_REQUIRED[kind].format(**context)}, found {found}"
    return f"{error['msg']}, found {found}"


def _nearest(word: str, known: Sequence[str]) -> str:
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {match[0]}?" if match else f"known are {', '.join(known)}"


def _choices(path: Path, data: Mapping[str, Any]) -> list[str]:
    """Values allowed for the key at `path` that selects a section kind."""
    sections = _sections(path[:-1], data)
    return [get_args(section.model_fields[str(path[-1])].annotation)[0] for section in sections]


def _known_keys(path: Path, data: Mapping[str, Any]) -> list[str]:
    (section,) = _sections(path, data)
    return [field.alias or name for name, field in section.model_fields.items()]


def _sections(path: Path, data: Any) -> list[type[BaseModel]]:
    """The section kinds possible at `path`: one, unless the key that selects it is missing or wrong."""
    candidates = _narrow(_models(AnyConfig), data)
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
        if part == "codec" and isinstance(data, dict):
            data = {"kind": DEFAULT_CODEC, **data}
        fields = candidates[0].model_fields
        name = next(name for name, field in fields.items() if part in (name, field.alias))
        candidates = _narrow(_models(fields[name].annotation), data)
    return candidates


def _models(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) is Annotated:
        return _models(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [model for option in get_args(annotation) for model in _models(option)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _narrow(models: list[type[BaseModel]], data: Any) -> list[type[BaseModel]]:
    if not isinstance(data, dict):
        return models
    for tag in _TAGS:
        fitting = [
            m for m in models if tag in m.model_fields and data.get(tag) in get_args(m.model_fields[tag].annotation)
        ]
        if fitting:
            return fitting
    return models
