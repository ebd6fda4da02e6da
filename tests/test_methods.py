"""docs/methods.md is true: every kind of every family has its row, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from orchestration.spec.config_tree import dotted_names, kinds, members
from tests.conftest import ROOT
from vae_core.config import TrialConfig
from vae_core.configurable import Config
from vae_core.decoding import DECODINGS
from vae_core.metrics import METRICS

TEXT = (ROOT / "docs" / "methods.md").read_text()
HEADER = ("year", "paper", "what it computes", "test")
Row = tuple[str, ...]


def tables() -> dict[str, list[Row]]:
    """The rows of each section, cell by cell, under its heading without the backquotes."""
    found: dict[str, list[Row]] = {}
    for section in TEXT.split("\n## ")[1:]:
        lines = [line for line in section.splitlines() if line.startswith("|")]
        cells = [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]) for line in lines]
        assert cells[0][1:] == HEADER, section
        found[section.splitlines()[0].strip("`")] = cells[2:]
    return found


TABLES = tables()
ROWS = [row for rows in TABLES.values() for row in rows]


def families(config: type[Config], prefix: str = "") -> Iterator[tuple[str, tuple[type[Config], ...]]]:
    """Each place of a trial where a kind is chosen, and what there is to choose from."""
    for name, field in config.model_fields.items():
        choice = members(field.annotation)
        if kinds(choice):
            yield f"{prefix}{name}", choice
        for member in choice:
            yield from families(member, f"{prefix}{name}.")


def places() -> dict[tuple[type[Config], ...], set[str]]:
    """Every family that trials are made of, and where it is chosen from."""
    found: dict[tuple[type[Config], ...], set[str]] = {}
    for place, choice in families(TrialConfig):
        ours = tuple(member for member in choice if member.__module__.startswith("vae_core."))
        found.setdefault(ours, set()).add(place)
    return found


@pytest.mark.parametrize(("family", "where"), places().items(), ids=lambda value: min(value) if isinstance(value, set) else "")
def test_each_kind_of_a_family_has_one_row(family: tuple[type[Config], ...], where: set[str]) -> None:
    headings = where & TABLES.keys()
    assert len(headings) == 1, f"one section of docs/methods.md for {sorted(where)}"
    assert sorted(row[0].strip("`") for row in TABLES[headings.pop()]) == sorted(kinds(family))


def test_each_section_is_a_family_or_one_of_the_others() -> None:
    others = {"generate --decoding", "Further options", "Figures of a trial"}
    assert TABLES.keys() - set().union(*places().values()) == others


def test_the_readme_counts_and_names_them() -> None:
    section = (ROOT / "README.md").read_text().split("## Methods\n")[1].split("\n## ")[0]
    rows = {name: (int(count), names) for name, count, names in re.findall(r"^\| `([\w.]+)` \| (\d+) \| (.*) \|$", section, re.M)}
    expected = {
        heading: (len(kinds(family)), ", ".join(f"`{kind}`" for kind in kinds(family)))
        for family, where in places().items()
        for heading in where & TABLES.keys()
    }
    assert rows == expected


def test_each_way_to_decode_has_one_row() -> None:
    assert [row[0].strip("`") for row in TABLES["generate --decoding"]] == list(DECODINGS)


def test_options_and_figures_are_there() -> None:
    options = {row[0].strip("`").partition(": ")[0] for row in TABLES["Further options"]}  # some for one value alone
    assert options <= set(dotted_names(TrialConfig))
    assert {row[0].strip("`") for row in TABLES["Figures of a trial"]} <= {metric.name for metric in METRICS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_whole(row: Row) -> None:
    name, year, paper, what, test = row
    assert re.fullmatch(r"`[\w./-]+(: \w+)?`", name)
    assert re.fullmatch(r"(19|20)\d\d|–", year)
    assert (year == "–") == (paper == "–")
    assert what
    assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`", test)


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/\S+)::(\w+)`", TEXT)
    assert len(named) >= len(ROWS)
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


@cache
def names_in(path: str) -> set[str]:
    """The names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
