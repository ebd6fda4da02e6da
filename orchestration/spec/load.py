"""From a sweep file to a ``SweepSpec`` and back; every fault of the file is told at once."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import SafeRepresenter

from orchestration.spec import addresses
from orchestration.spec import data_files as files
from orchestration.spec.checks import check, check_data
from orchestration.spec.faults import Fault, SweepFileError
from orchestration.spec.overrides import override, put
from orchestration.spec.sections import SweepSpec
from orchestration.spec.yaml_source import Source, parse_mapping, read_source


def load_sweep(
    path: FilePath | str, overrides: Sequence[str] = (), name: str | None = None, *, data_files: bool = False
) -> SweepSpec:
    """Reads and checks a sweep file.

    Args:
        overrides: ``path=value`` each, the value in YAML; see ``overrides.override``.
        name: instead of the file's.
        data_files: also look at the data files that it names.

    Raises:
        SweepFileError: with every fault, each with its place.
    """
    return _load(read_source(FilePath(path)), FilePath(path).parent, overrides, name, data_files)


def parse_sweep(text: str, origin: str = "<text>", *, data_files: bool = False) -> SweepSpec:
    """The same for a file's text; ``origin`` is the file's name, for messages and for relative paths.

    Raises:
        SweepFileError: with every fault, each with its place.
    """
    return _load(parse_mapping(text, origin), FilePath(origin).parent, (), None, data_files)


def check_data_files(spec: SweepSpec, file: str = "<sweep>") -> None:
    """Looks at the data files of a sweep: there, not empty, and not binary where text is wanted.

    Raises:
        SweepFileError: with every file that is not.
    """
    faults = check_data(Source(spec.to_dict(), file=file), spec)
    if faults:
        raise SweepFileError(faults)


def spec_text(spec: SweepSpec) -> str:
    """The sweep as canonical YAML: every section written out; it loads again to an equal sweep."""
    plain = spec.to_dict()
    plain["parameters"] = {name: _without_null(parameter) for name, parameter in plain["parameters"].items()}
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # the order of the file is kept
    yaml.allow_unicode = True
    yaml.Representer = _Representer
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump(plain, stream)
    return stream.getvalue()


def _load(source: Source, directory: FilePath, overrides: Sequence[str], name: str | None, with_data: bool) -> SweepSpec:
    faults: list[Fault] = []
    for text in overrides:
        try:
            override(source, text)
        except SweepFileError as error:
            faults += error.faults
    if name is not None:
        put(source, ("name",), name, "--name")
    files.resolve(source, directory)
    faults += addresses.resolve(source, directory)
    spec, found = check(source)
    faults += found
    if spec is not None and with_data:
        faults += check_data(source, spec)
    if spec is None or faults:
        raise SweepFileError(faults)
    return spec


class _Representer(SafeRepresenter):
    """Puts into double quotes what YAML would read as the end of a line: elsewhere it comes back as a space."""

    def represent_str(self, data: str) -> Any:
        style = '"' if any(char in data for char in "\r\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Representer.add_representer(str, _Representer.represent_str)


def _without_null(parameter: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what a parameter does not say; ``value: null`` says something."""
    if "choices" in parameter:
        choices = parameter["choices"]
        return {
            "choices": {
                option: {name: _without_null(inner) for name, inner in children.items()} for option, children in choices.items()
            }
        }
    return {key: value for key, value in parameter.items() if value is not None or key == "value"}
