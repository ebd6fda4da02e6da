"""Text in a column: the three formats say the same, and each names the place of what is wrong in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from vae_core.data import Csv, DataError, JsonLines, Parquet, Splitting, TextFile, TextTable, Vocabulary

ALL = Vocabulary(min_count=1)
TEXTS = ["the cat sat", 'she said "no, never"', "one\ntwo lines", "café, naïve", "", "the end"]
Write = Callable[[Path, list[dict[str, Any]]], None]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    pd.DataFrame(rows).to_csv(path, index=False)


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


FORMATS: dict[str, tuple[type[TextTable], Write]] = {
    "csv": (Csv, write_csv),
    "json_lines": (JsonLines, write_json_lines),
    "parquet": (Parquet, write_parquet),
}
every_format = pytest.mark.parametrize("name", FORMATS)


def rows_of(texts: list[str]) -> list[dict[str, Any]]:
    return [{"id": place, "text": text, "other": "x"} for place, text in enumerate(texts)]


def fault(config: TextTable) -> str:
    with pytest.raises(DataError) as caught:
        config.load()
    message = str(caught.value)
    assert "\n" not in message
    return message


@every_format
def test_cells_come_back_as_they_were_written_but_for_empty_ones(name: str, tmp_path: Path) -> None:
    member, write = FORMATS[name]
    write(tmp_path / "a", rows_of(TEXTS))
    config = member(train=str(tmp_path / "a"))
    assert config.read("data.train", config.train).texts == [text for text in TEXTS if text]


@every_format
def test_a_table_and_a_text_file_of_the_same_lines_are_the_same_data(name: str, tmp_path: Path) -> None:
    member, write = FORMATS[name]
    texts = [f"w{place} , and {place % 7} ." for place in range(60)]
    write(tmp_path / "table", rows_of(texts))
    (tmp_path / "lines").write_text("\n".join(texts))
    split = Splitting(valid=0.2, test=0.1, seed=3)
    expected = TextFile(train=str(tmp_path / "lines"), vocabulary=ALL, split=split).load()
    found = member(train=str(tmp_path / "table"), vocabulary=ALL, split=split).load()
    assert found.fingerprint == expected.fingerprint
    assert found.name == f"{tmp_path.name}/table"
    named = {split: str(tmp_path / "table") for split in ("train", "valid", "test")}
    assert {split: len(part) for split, part in member(**named, vocabulary=ALL).load().splits.items()} == dict.fromkeys(named, 60)


@every_format
def test_rows_are_split_into_sentences_on_request(name: str, tmp_path: Path) -> None:
    member, write = FORMATS[name]
    write(tmp_path / "a", rows_of(["First one. Second one.", "Third\none."]))
    names = {split: str(tmp_path / "a") for split in ("train", "valid", "test")}
    data = member(**names, unit="sentence", vocabulary=ALL).load()
    assert data.splits["train"].lengths.tolist() == [3, 3, 3]
    assert member(**names, vocabulary=ALL).load().splits["train"].lengths.tolist() == [6, 3]


@every_format
def test_another_column_and_one_that_is_not_there(name: str, tmp_path: Path) -> None:
    member, write = FORMATS[name]
    write(tmp_path / "a", [{"id": place, "body": text} for place, text in enumerate(["a b", "c d", "e f"])])
    config = member(train=str(tmp_path / "a"), column="body")
    assert config.read("data.train", config.train).texts == ["a b", "c d", "e f"]
    said = fault(member(train=str(tmp_path / "a"), column="bodi"))
    assert said.startswith(f"data.train: {tmp_path / 'a'}")
    assert "'bodi'; it has 'id', 'body'; did you mean 'body'?: " in said
    assert "data.column" in said


@every_format
def test_a_file_that_is_missing_blank_or_something_else(name: str, tmp_path: Path) -> None:
    member, write = FORMATS[name]
    assert "there is no such file" in fault(member(train=str(tmp_path / "none")))
    write(tmp_path / "a", rows_of(["", " "]))
    assert "column 'text' has no text in any of 2 rows" in fault(member(train=str(tmp_path / "a")))
    (tmp_path / "b").write_bytes(b"\x00\x01" * 20)
    assert str(tmp_path / "b") in fault(member(train=str(tmp_path / "b")))
    write(tmp_path / "c", rows_of(["a b"]))
    assert "1 example, too few" in fault(member(train=str(tmp_path / "c")))
    assert "data.unit: sentence" in fault(member(train=str(tmp_path / "c"), max_length=2, min_length=2, column="other"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,a\n2,b,c\n", "line 3: 3 cells, but the header names 2 columns: put quotes"),
        ('id,text\n1,"a\nb"\n2\n', "line 4: 1 cells, but the header names 2"),
        ('id,text\n1,a\n2,"b\n3,c\n', "the row from line 3 on: unexpected end of data; is a quote left open there?"),
        ('id,text\n1,"a"b\n', "the row from line 2 on: ',' expected after '\"'"),
        ("text,text\na,b\n", "has 2 columns named 'text'"),
        (
            "id\ttext\n1\ta\n",
            r"has no column 'text'; it has 'id\ttext'; did you mean 'id\ttext'?: say data.column; data.separator is ','",
        ),
    ],
)
def test_broken_csv(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    assert message in fault(Csv(train=str(tmp_path / "a.csv")))


def test_csv_of_other_separators_encodings_and_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes('\r\nid\ttext\r\n1\tle café, noir\r\n\r\n2\t"un ""thé"""\r\n'.encode("latin-1"))
    config = Csv(train=str(tmp_path / "a.tsv"), separator="\t", encoding="latin-1")
    assert config.read("data.train", config.train).texts == ["le café, noir", 'un "thé"']
    assert "line 3" in fault(Csv(train=str(tmp_path / "a.tsv"), separator="\t"))
    for wrong in ("", ";;", '"', "\n"):
        with pytest.raises(ValueError, match="separator"):
            Csv(train="x", separator=wrong)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', "this is no JSON: Expecting ',' delimiter"),
        ("[" * 100_000, "this is no JSON"),
        ('["a"]', "this is a JSON list, not an object"),
        ('{"txt": "a"}', "the object has no key 'text'; it has 'txt'; did you mean 'txt'?"),
        ('{"text": 5}', "'text' is a JSON number, not text"),
        ('{"text": ["a"]}', "'text' is a JSON list, not text"),
        ('{"text": "\\ud800"}', "half of a surrogate pair"),
    ],
)
def test_broken_json_lines_are_named(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f'{{"text": "fine"}}\n\n{line}\n')
    said = fault(JsonLines(train=str(tmp_path / "a")))
    assert f"{tmp_path / 'a'}, line 3: " in said
    assert message in said


def test_nulls_are_empty_cells_and_line_separators_of_unicode_are_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"text": null}\n{"text": "one\u2028two \U0001f600"}\n', encoding="utf-8")
    config = JsonLines(train=str(tmp_path / "a"))
    assert config.read("data.train", config.train).texts == ["one\u2028two \U0001f600"]
    parquet.write_table(pa.table({"text": pa.array([None, "b", None])}), tmp_path / "b")
    assert Parquet(train="x").read("data.train", str(tmp_path / "b")).texts == ["b"]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_strings_of_every_kind(type_: Any, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a.b": pa.array(["x y", "x y", "z"]).cast(type_)}), tmp_path / "a")
    assert Parquet(train="x", column="a.b").read("data.train", str(tmp_path / "a")).texts == ["x y", "x y", "z"]


def test_parquet_that_holds_no_text_or_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, rows_of(TEXTS))
    assert "column 'id' holds int64, not text" in fault(Parquet(train=str(path), column="id"))
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read as Parquet" in fault(Parquet(train=str(path)))
