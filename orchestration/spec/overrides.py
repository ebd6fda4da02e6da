"""``--set path=value``: values put into a sweep file's tree before it is checked."""

from __future__ import annotations

import re
from typing import Any

from orchestration.spec.faults import Fault, Path, SweepFileError
from orchestration.spec.yaml_source import Place, Source, parse

_LOGIN = re.compile(r"(?<=://)([^:/@]*):.*@", re.DOTALL)
"""A password in whatever YAML it stands: up to the last @, and rather more than less."""


def override(source: Source, assignment: str) -> None:
    """Sets one ``path=value`` in the tree; the value is YAML, the path dotted, through ``trial`` and ``parameters`` too.

    A key that itself has dots, as those of ``parameters`` do, is found where it is there: ``parameters.optimizer.lr.min``.

    Raises:
        SweepFileError: it is no ``path=value``, the value is no YAML, or the path leads through a plain value.
    """
    dotted, equals, text = assignment.partition("=")
    option = _LOGIN.sub(r"\1:***@", f"--set {assignment}")
    parts = dotted.strip().split(".")
    if not equals or not all(parts):
        raise SweepFileError([Fault(option, None, None, "", "must be path=value, such as trial.training.epochs=3")])
    put(source, _path(source.tree, parts, option), parse(text, option).tree, option)


def put(source: Source, path: Path, value: Any, option: str) -> None:
    """Sets one value, and notes the command line's option as its place."""
    source.tree = _with(source.tree, path, value)
    for places in (source.keys, source.values):
        for below in [known for known in places if known[: len(path)] == path]:
            del places[below]
        places[path] = Place(option)
    for end in range(1, len(path)):  # mappings that were not there before
        source.keys.setdefault(path[:end], Place(option))
        source.values.setdefault(path[:end], Place(option))


def _path(tree: Any, parts: list[str], option: str) -> Path:
    """Splits a dotted path into keys, the longest key that is there first."""
    path: list[str] = []
    node = tree
    while parts:
        if not isinstance(node, dict):
            message = f"{'.'.join(path)} is no mapping, so nothing can be set below it"
            raise SweepFileError([Fault(option, None, None, "", message)])
        ends = range(len(parts), 0, -1)
        length = next((end for end in ends if ".".join(parts[:end]) in node), None)
        if length is None:  # a new key: below `parameters` one with dots, elsewhere one a level
            length = len(parts) if path == ["parameters"] else 1
        key = ".".join(parts[:length])
        path.append(key)
        parts = parts[length:]
        node = node.get(key, {})
    return tuple(path)


def _with(node: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    copied = dict(node) if isinstance(node, dict) else {}
    copied[str(path[0])] = _with(copied.get(str(path[0]), {}), path[1:], value)
    return copied
