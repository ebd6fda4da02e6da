"""The databases that a sweep names by a file: where they lie, so that they are the same ones from any directory."""

from __future__ import annotations

from functools import partial
from pathlib import Path as FilePath

from dashboards.home import with_absolute_file
from orchestration.spec.data_files import absolute
from orchestration.spec.faults import Fault, Path
from orchestration.spec.yaml_source import Source

_PLACES: tuple[Path, ...] = (("search", "storage"), ("tracking", "uri"))


def resolve(source: Source, directory: FilePath) -> list[Fault]:
    """Makes the names of SQLite files in the tree absolute, by the rule for data files; the faults of those that cannot be."""
    faults = []
    for path in _PLACES:
        try:
            section, url = source.at(path[:1]), source.at(path)
        except LookupError:
            continue
        if isinstance(url, str):
            there = with_absolute_file(url, partial(absolute, directory=directory))
            if there != url and there.count("?") > url.count("?"):  # what stands behind it would be read as settings
                faults.append(source.fault(path, f"lies below {directory.absolute()}, whose '?' no SQLite URL can hold"))
            section[path[-1]] = there
    return faults
