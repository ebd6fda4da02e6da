"""The data files that a sweep names: where they lie, and whether they can be what they should be."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Any

from orchestration.spec.config_tree import field_members, kind_of
from orchestration.spec.data_columns import HEAD_BYTES, missing_columns
from orchestration.spec.faults import Path
from orchestration.spec.yaml_source import Source
from vae_core.config import TrialConfig
from vae_core.data.base_config import DataConfig
from vae_core.data.remote import is_address
from vae_core.data.text_config import Parquet


def resolve(source: Source, directory: FilePath) -> None:
    """Makes the data files' paths in the tree absolute.

    A relative path is taken from the current directory; where nothing lies there, from the sweep file's. What may be the name of
    something else becomes one only where there is a directory.
    """
    for path in _values(source.tree, lambda member: member.files):
        *above, last = path
        node = source.at(tuple(above))
        if isinstance(node[last], str):
            node[last] = absolute(node[last], directory)
        elif isinstance(node[last], dict):  # a file a label
            for label, file in node[last].items():
                if isinstance(file, str):
                    node[last][label] = absolute(file, directory)
    for path in _values(source.tree, lambda member: member.places):
        *above, last = path
        node = source.at(tuple(above))
        if isinstance(node[last], str) and os.path.isdir(there := absolute(node[last], directory)):  # noqa: PTH112 - as below
            node[last] = there


def named_files(config: DataConfig) -> Iterator[tuple[Path, str]]:
    """The data files of a trial, each with its place in the trial's tree."""
    for name in config.files:
        value = getattr(config, name)
        if isinstance(value, dict):
            yield from ((("data", name, label), file) for label, file in value.items())
        elif value is not None:
            yield ("data", name), value


def fault_of(config: DataConfig, name: str) -> str | None:
    """What is wrong with a file of these data, by its header alone; None where nothing is.

    An address is looked at when the data are read: checking a file waits for no server.
    """
    if is_address(name):
        return None
    file = FilePath(name)
    try:
        if file.is_dir():
            return "is a directory, not a data file"
        if not file.is_file():
            return "there is no such file; a relative path is taken from the current directory, else from the sweep file's"
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        return f"the file cannot be read: {getattr(error, 'strerror', None) or error}"
    if not head:
        return "the file is empty"
    encoding = getattr(config, "encoding", None)
    if encoding is not None and b"\0" in head and not _two_bytes(encoding):
        return f"the file is binary, not text: it holds a NUL byte at offset {head.index(0)}"
    if isinstance(config, Parquet) and not head.startswith(b"PAR1"):
        return "this is no Parquet file: it does not begin with PAR1"
    return missing_columns(config, file, head)


def _two_bytes(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    except LookupError:
        return False


def absolute(value: str, directory: FilePath) -> str:
    """The file that a name means: from the current directory; where nothing lies there, from ``directory``. Addresses stay."""
    if "://" in value:  # of whatever kind: what cannot be fetched is refused as the address that it is
        return value
    value = os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser raises for an unknown user
    here, beside = os.path.abspath(value), os.path.abspath(directory / value)  # noqa: PTH100 - symbolic links stay as written
    return beside if not _exists(here) and _exists(beside) else here


def _exists(file: str) -> bool:
    try:
        return FilePath(file).exists()
    except (OSError, ValueError):  # too long a name, or a NUL in it
        return False


def _values(tree: Any, fields: Callable[[type[DataConfig]], tuple[str, ...]]) -> Iterator[Path]:
    """Where the tree has a value for one of the data's fields: in the trial, and in the parameters."""
    trial = _mapping(_mapping(tree).get("trial"))
    parameters = _mapping(_mapping(tree).get("parameters"))
    data = _mapping(trial.get("data"))
    searched = _mapping(parameters.get("data.kind"))
    kinds = [data.get("kind"), searched.get("value"), *_list(searched.get("values"))]
    fixed = [name for kind in kinds for name in _fields_of(kind, fields)]
    for name in fixed:
        if name in data:
            yield ("trial", "data", name)
        yield from _parameter_values(parameters, ("parameters",), f"data.{name}")
    for kind, option in _mapping(_mapping(parameters.get("data")).get("choices")).items():
        for name in _fields_of(kind, fields):
            yield from _parameter_values(_mapping(option), ("parameters", "data", "choices", kind), name)


def _parameter_values(parameters: dict[str, Any], above: Path, name: str) -> Iterator[Path]:
    form = _mapping(parameters.get(name))
    if "value" in form:
        yield (*above, name, "value")
    for index in range(len(_list(form.get("values")))):
        yield (*above, name, "values", index)


def _fields_of(kind: Any, fields: Callable[[type[DataConfig]], tuple[str, ...]]) -> tuple[str, ...]:
    for member in field_members(TrialConfig, "data"):
        if kind_of(member) == kind and issubclass(member, DataConfig):
            return fields(member)
    return ()


def _mapping(node: Any) -> dict[str, Any]:
    return node if isinstance(node, dict) else {}


def _list(node: Any) -> list[Any]:
    return node if isinstance(node, list) else []
