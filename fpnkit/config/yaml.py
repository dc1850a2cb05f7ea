"""YAML text → plain values and the line of every key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

# No config comes near; a few lines of aliases of aliases expand to more than any memory.
_MOST_CHARACTERS, _MOST_VALUES, _DEEPEST = 1_000_000, 20_000, 40


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: `1e-4` is a number, `yes` and `2026-01-01` are text.

    PyYAML follows YAML 1.1, in which `1e-4` is text, so that a learning rate would fail with a baffling message.
    """


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


class _TooMuch(yaml.YAMLError):
    """Something that grows or nests beyond what a config needs."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


@dataclass
class YamlDocument:
    """A parsed file: its values, the line of each one, and YAML problems."""

    data: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)  # (line, text)

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest section around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str) -> YamlDocument:
    """Parse one document. Raises nothing; problems are collected in `problems`."""
    source = YamlDocument({})
    if len(text) > _MOST_CHARACTERS:
        source.problems.append((1, f"required at most {_MOST_CHARACTERS:,} characters, found {len(text):,}"))
        return source
    try:
        root = _composed(text)
        if isinstance(root, yaml.MappingNode):
            source.data = _value(root, (), source)
    except _TooMuch as error:
        source.problems.append((error.line, str(error)))
        return source
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        source.problems.append((mark.line + 1 if mark else 1, f"not YAML: {reason}"))
        return source
    if root is not None and not isinstance(root, yaml.MappingNode):
        source.problems.append((1, "required sections such as `task:` and `data:`, found no key at all"))
    return source


def parse_value(text: str) -> Any:
    """The value of an override, as it would be read in a file; raises `yaml.YAMLError`."""
    node = _composed(text)
    return None if node is None else _value(node, (), YamlDocument({}))


def _composed(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except RecursionError:
        raise _TooMuch(1, _TOO_DEEP) from None
    return node


_TOO_DEEP = f"required at most {_DEEPEST} levels, found more"


def _value(node: yaml.Node, path: Path, source: YamlDocument) -> Any:
    source.lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > _DEEPEST:
        raise _TooMuch(node.start_mark.line + 1, _TOO_DEEP)
    if len(source.lines) > _MOST_VALUES:
        raise _TooMuch(
            node.start_mark.line + 1, f"required at most {_MOST_VALUES:,} values, aliases written out, found more"
        )
    if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        where = ".".join(map(str, path))
        problem = f"{where}: a tag such as {tag} is not allowed, required plain values"
        source.problems.append((node.start_mark.line + 1, problem))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, source)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), source) for index, item in enumerate(node.value)]
    loader = _Loader("")
    try:
        if node.tag == "tag:yaml.org,2002:int":
            return int(node.value)  # not YAML 1.1's, in which 010 is eight
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:  # a number of more digits than Python reads is a ValueError
        source.problems.append((node.start_mark.line + 1, f"not a plain value: {getattr(error, 'problem', error)}"))
        return None
    finally:
        loader.dispose()


def _mapping(node: yaml.MappingNode, path: Path, source: YamlDocument) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        inner = (*path, key)
        if key in result:
            text = f"{'.'.join(map(str, inner))}: appears twice, first on line {source.lines[inner]}"
            source.problems.append((line, text))
            continue
        source.lines[inner] = line
        result[key] = _value(value_node, inner, source)
    return result
