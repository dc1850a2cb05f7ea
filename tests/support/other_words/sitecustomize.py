"""On PYTHONPATH, it changes every word that a Python process logs or prints."""

import builtins
import logging

_print, _record = builtins.print, logging.getLogRecordFactory()


def _changed(text: object) -> str:
    return "".join(chr(ord("a") + ord(character) % 26) if character.isalnum() else " " for character in str(text))


def _print_changed(*values: object, **options: object) -> None:
    _print(*map(_changed, values), **options)  # type: ignore[call-overload]


def _changed_record(*arguments: object, **options: object) -> logging.LogRecord:
    record = _record(*arguments, **options)
    record.msg, record.args = _changed(record.getMessage()), ()
    return record


builtins.print = _print_changed  # type: ignore[assignment]
logging.setLogRecordFactory(_changed_record)
