"""Columns and arrays that a data file lacks are told by validate, from its header alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestration.spec import SweepFileError, parse_sweep
from tests.orchestration.spec.tables import write_table

TEXT = """\
version: 1
name: t
trial:
  data: {kind: KIND, train: FILE}
  model: {encoder: {kind: lstm, hidden: 8}, decoder: {kind: lstm, hidden: 8}}
method: random
parameters: {optimizer.lr: {min: 1e-3, max: 1e-2}}
run_cap: 1
"""
IMAGES = TEXT.replace("kind: KIND, train: FILE", "kind: npz, path: FILE").replace("kind: lstm, hidden: 8", "kind: mlp")
TABLES = ("csv", "json_lines", "parquet")


def fault(text: str) -> str:
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(text, data_files=True)
    (one,) = caught.value.faults
    assert (one.path, one.line) in (("trial.data.train", 4), ("trial.data.path", 4))
    return one.message


def written(file: Path, kind: str, **changes: str) -> str:
    text = TEXT.replace("KIND", kind).replace("FILE", str(file))
    return text.replace("data: {", "data: {" + "".join(f"{name}: {value}, " for name, value in changes.items()))


@pytest.mark.parametrize("kind", TABLES)
def test_a_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "table"
    write_table(file, kind, {"sentences": ["a b"], "stars": ["5"]})
    what = "key" if kind == "json_lines" else "column"
    assert fault(written(file, kind)).startswith(
        f"the file has no {what} 'text', as data.column says; it has 'sentences', 'stars'"
    )
    told = fault(written(file, kind, column="sentences", label_column="star"))
    assert told == f"the file has no {what} 'star', as data.label_column says; it has 'sentences', 'stars'; did you mean 'stars'?"
    assert parse_sweep(written(file, kind, column="sentences", label_column="stars"), data_files=True)


def test_another_separator_is_thought_of(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("id;text\n1;a b\n")
    assert fault(written(file, "csv")).endswith("it has 'id;text'; data.separator is ','")
    assert parse_sweep(written(file, "csv", separator='";"'), data_files=True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_header_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text("text,né\na b,1\n", encoding=encoding)
    named = encoding.removesuffix("-sig")
    assert parse_sweep(written(file, "csv", encoding=named, label_column="né"), data_files=True)
    assert "has no column 'nè'" in fault(written(file, "csv", encoding=named, label_column="nè"))


def test_what_the_first_64_kib_do_not_show_is_left_to_the_reader(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_text(f'{{"other": "{"x" * 70_000}", "text": "a"}}\n')
    assert parse_sweep(written(file, "json_lines"), data_files=True)
    file.write_text(",".join(f"c{number}" for number in range(20_000)) + ",text\n")
    assert parse_sweep(written(file, "csv"), data_files=True)


@pytest.mark.parametrize(("line", "words"), [("[1, 2]", "no JSON object"), ("text,label", "no JSON:")])
def test_a_first_line_that_is_no_object(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "table"
    file.write_text(f"\n{line}\n")
    assert words in fault(written(file, "json_lines"))


def test_a_parquet_file_that_is_cut(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(b"PAR1\0\0PAR1")
    assert "cannot be read as Parquet" in fault(written(tmp_path / "table", "parquet"))


def test_arrays_that_are_not_there_are_told(tmp_path: Path) -> None:
    file = tmp_path / "images.npz"
    np.savez(file, x_train=np.zeros((2, 4, 4)), x_tests=np.zeros((2, 4, 4)), y_train=np.zeros(2))
    text = IMAGES.replace("FILE", str(file))
    told = "the file has no array 'x_test', as data.test says; it has 'x_train', 'x_tests', 'y_train'; did you mean 'x_tests'?"
    assert fault(text) == told
    assert parse_sweep(text.replace("npz,", "npz, test: x_tests,"), data_files=True)
    assert "no array 'y_test', as data.labels.test says" in fault(text.replace("npz,", "npz, test: x_tests, labels: {},"))
    file.write_text("no archive")
    assert fault(text) == "this is no .npz file: it cannot be opened as an archive of arrays"
