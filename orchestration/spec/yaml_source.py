"""YAML text as a plain tree that remembers the line and column of every key and value.

The tree is composed from ruamel.yaml's events by the core schema of YAML 1.2 (``1e-3`` is a number, ``on`` is text), within
limits: tags construct nothing, and aliases are copied only as long as the whole stays small.
"""

from __future__ import annotations

import copy
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from orchestration.spec.faults import Fault, Path, SweepFileError, dotted, shown

MAX_BYTES = 256 * 1024
MAX_NODES = 5_000
"""Keys and values, those counted that an alias repeats."""
MAX_DEPTH = 20
_MAX_DIGITS = 300

_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {text: value for value in (True, False) for text in (str(value).lower(), str(value), str(value).upper())}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Place(NamedTuple):
    """Where something was written: a file, or an option of the command line; line and column from 1."""

    file: str
    line: int | None = None
    column: int | None = None


@dataclass
class Source:
    """A parsed document."""

    tree: Any
    file: str
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where the value at a path (or its key) was written; for a path that is not there, the nearest above it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path] if path else Place(self.file)

    def at(self, path: Path) -> Any:
        """The value at a path.

        Raises:
            LookupError: there is none.
        """
        node = self.tree
        for part in path:
            if not isinstance(node, dict | list) or isinstance(node, list) != isinstance(part, int):
                raise KeyError(part)
            node = node[part]  # type: ignore[index]  # just made sure of
        return node

    def fault(self, path: Path, message: str, *, nearest: str | None = None, key: bool = False) -> Fault:
        """A fault of the value at a path, or of its key."""
        try:
            value = None if key or not path else shown(self.at(path))
        except LookupError:
            value = None
        return Fault(*self.place(path, key=key), dotted(path), message, value, nearest)


def read_source(path: FilePath) -> Source:
    """Reads a file whose document is a mapping.

    Raises:
        SweepFileError: it is missing, a directory, unreadable, too large, not UTF-8, not YAML, empty, or no mapping; or it has
            duplicate keys, tags, or aliases that grow without measure.
    """
    return parse_mapping(_read(path), str(path))


def parse_mapping(text: str, file: str) -> Source:
    """Parses one document that is a mapping.

    Raises:
        SweepFileError: as ``read_source`` does.
    """
    source = parse(text, file)
    if source.tree is None:
        raise SweepFileError([Fault(file, None, None, "", "the file is empty; `vae-sweeps init FILE` writes one to start from")])
    if not isinstance(source.tree, dict):
        kind = "a list" if isinstance(source.tree, list) else "a single value"
        raise SweepFileError([Fault(file, 1, 1, "", f"the file must be a mapping (key: value), not {kind}", shown(source.tree))])
    return source


def parse(text: str, file: str) -> Source:
    """Parses one document.

    Raises:
        SweepFileError: with the fault of its syntax, or with every duplicate key and tag.
    """
    composer = _Composer(text, file)
    source = composer.document()
    if composer.faults:
        raise SweepFileError(composer.faults)
    return source


def _read(path: FilePath) -> str:
    file = str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SweepFileError([Fault(file, None, None, "", "this is a directory, not a sweep file")])
        if not stat.S_ISREG(status.st_mode):
            raise SweepFileError([Fault(file, None, None, "", "this is no regular file")])
        if status.st_size > MAX_BYTES:
            raise SweepFileError([Fault(file, None, None, "", f"the file is larger than {MAX_BYTES // 1024} KiB")])
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SweepFileError([Fault(file, None, None, "", "there is no such file")]) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise SweepFileError([Fault(file, None, None, "", f"the file cannot be read: {reason}")]) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode("utf-8", errors="replace")) + 1
        message = f"the file is not UTF-8: byte 0x{raw[error.start]:02x}"
        raise SweepFileError([Fault(file, before.count(b"\n") + 1, column, "", message)]) from None


class _Composer:
    """Builds the tree of one document from its events."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._events = self._checked_events()
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._source = Source(None, file)
        self.faults: list[Fault] = []

    def document(self) -> Source:
        documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "a second document begins here; a sweep file holds one")
                self._source.tree = self._node(next(self._events), ())
        return self._source

    def _checked_events(self) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(self._text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = " ".join(part for part in (error.context, error.problem) if part)
            if "'\\t'" in problem:
                problem = "a tab stands where only spaces may: YAML is indented by spaces"
            place = Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file)
            raise SweepFileError([Fault(*place, "", f"this is not YAML: {problem}")]) from None
        except ReaderError as error:
            lines = self._text[: error.position].split("\n")
            message = f"the character U+{ord(self._text[error.position]):04X} is not allowed"
            raise SweepFileError([Fault(self._file, len(lines), len(lines[-1]) + 1, "", message)]) from None
        except (YAMLError, ValueError, OverflowError, AttributeError, IndexError, TypeError, AssertionError) as error:
            # The parser lets go of bare exceptions on some malformed escapes and directives.
            raise SweepFileError([Fault(self._file, None, None, "", f"this is not YAML: {error}")]) from None

    def _node(self, event: Any, path: Path) -> Any:
        self._source.values[path] = Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)
        before = self._nodes
        self._count(event, 1)
        if len(path) > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if event.tag is not None:
            self._fault(event, path, f"the tag {event.tag} is not allowed: a sweep file makes no objects")
        value: Any
        if isinstance(event, MappingStartEvent):
            value = self._mapping(path)
        elif isinstance(event, SequenceStartEvent):
            value = []
            while not isinstance(item := next(self._events), SequenceEndEvent):
                value.append(self._node(item, (*path, len(value))))
        else:
            value = self._scalar(event, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._nodes - before)
        return value

    def _mapping(self, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, (*path, "?"))
            place = self._source.values.pop((*path, "?"))
            value_event = next(self._events)
            if not isinstance(key, str):
                self._fault(event, path, f"a key must be text, not {shown(key)}; put it into quotes")
                key = shown(key)
            elif key == "<<":
                self._fault(event, path, "merge keys (<<) are no longer YAML: write the keys out")
            inner = (*path, key)
            if key in mapping:
                message = f"this key stands here twice, first in line {self._source.keys[inner].line}"
                self.faults.append(Fault(*place, dotted(inner), message))
            self._source.keys[inner] = place
            mapping[key] = self._node(value_event, inner)
        return mapping

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            self._stop(event, f"the alias *{event.anchor} has no anchor &{event.anchor} that ends before it")
        value, size = self._anchors[event.anchor]
        self._count(event, size)
        return copy.deepcopy(value)

    def _scalar(self, event: Any, path: Path) -> Any:
        text: str = event.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._fault(event, path, "half of a surrogate pair is no character")
            return ""
        if not event.implicit[0]:  # quoted, a block, or tagged
            return text
        if len(text) > _MAX_DIGITS and (_INTEGER.fullmatch(text) or _BASED.fullmatch(text)):
            self._fault(event, path, f"a number of more than {_MAX_DIGITS} digits")
            return 0
        return plain_scalar(text)

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._stop(event, f"the file holds more than {MAX_NODES} keys and values, those counted that aliases repeat")

    def _fault(self, event: Any, path: Path, message: str) -> None:
        self.faults.append(Fault(self._file, event.start_mark.line + 1, event.start_mark.column + 1, dotted(path), message))

    def _stop(self, event: Any, message: str) -> None:
        self._fault(event, (), message)
        raise SweepFileError(self.faults)


def plain_scalar(text: str) -> Any:
    """An unquoted scalar by the core schema of YAML 1.2 (section 10.3.2)."""
    if text in _NULLS:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text
