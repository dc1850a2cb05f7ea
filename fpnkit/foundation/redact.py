"""Keep passwords, tokens and keys out of files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MASK = "***"

# Shorter ones ("yes", "4") occur in ordinary text; they are masked only right after their name.
_SHORTEST_FOUND_ANYWHERE = 6
# `PWD` alone is the working directory; `key` must be a separate word, because of words like keyboard.
_SECRET_NAME = (
    r"[\w.\-]*(?:token(?!iz)|passw|passphrase|secret|credential|authorization|(?:api|access|private)_?key"
    r"|(?<![a-z0-9])(?:keys?|pass|auth)(?![a-z0-9])|(?<=[_.\-])pwd(?![a-z0-9]))[\w.\-]*"
)
_NAME = re.compile(_SECRET_NAME, re.IGNORECASE)
_ASSIGNMENT = re.compile(rf"({_SECRET_NAME})([\"']?\s*[:=]\s*[\"']?)([^\"',}}\]]+)", re.IGNORECASE)
_URL_USER = re.compile(r"(?<=://)[^\s/@\"']+(?=@)")


class Redactor:
    """Masks the secrets of one process in any text.

    Secrets are the values of environment variables and arguments whose names suggest it (token, password, key …), and
    the user part of URLs.
    """

    def __init__(self, environment: Mapping[str, str], arguments: Sequence[str]) -> None:
        values = {value for name, value in environment.items() if _is_secret_name(name)}
        values |= set(_secret_arguments(arguments))
        # A private key spans lines, and a patch prefixes each of them with a sign.
        values |= {line.strip() for value in values for line in value.splitlines()}
        found = sorted((value for value in values if len(value) >= _SHORTEST_FOUND_ANYWHERE), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, found))) if found else None

    def text(self, text: str) -> str:
        """The text without known secrets and without users of URLs."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _URL_USER.sub(MASK, text)

    def arguments(self, arguments: Sequence[str]) -> list[str]:
        """A command line without secrets; short secrets are found by the flags before them."""
        shown = []
        for position, argument in enumerate(arguments):
            if position > 0 and _names_next(arguments[position - 1]):
                shown.append(MASK)
            else:
                shown.append(self.text(_ASSIGNMENT.sub(rf"\1\2{MASK}", argument)))
        return shown

    def value(self, value: Any) -> Any:
        """Every text inside a JSON value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def without_secrets(settings: Any, secret: bool = False) -> Any:
    """A copy of JSON settings in which values under secret-sounding names, and users of URLs, are masked.

    Unlike `Redactor` it does not search for values of environment variables: a path that happens to be one of them must
    survive, or the run could not be repeated.
    """
    if isinstance(settings, Mapping):
        return {key: without_secrets(value, secret or _is_secret_name(key)) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [without_secrets(value, secret) for value in settings]
    if secret and settings is not None:
        return MASK
    return _URL_USER.sub(MASK, settings) if isinstance(settings, str) else settings


def _is_secret_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _names_next(argument: str) -> bool:
    """Whether it is a flag such as `--password`, whose value is the next argument."""
    return argument.startswith("-") and "=" not in argument and _is_secret_name(argument.lstrip("-"))


def _secret_arguments(arguments: Sequence[str]) -> Iterable[str]:
    for position, argument in enumerate(arguments):
        if position > 0 and _names_next(arguments[position - 1]):
            yield argument
        for found in _ASSIGNMENT.finditer(argument):
            yield found.group(3).strip()
