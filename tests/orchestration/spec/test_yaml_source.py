"""YAML to a plain tree with places, within limits."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from orchestration.spec.faults import SweepFileError
from orchestration.spec.yaml_source import MAX_BYTES, MAX_NODES, parse, plain_scalar, read_source


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("007", 7),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("null", None),
        ("", None),
        ("-.inf", float("-inf")),
        ("e5", "e5"),
        (".", "."),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    read = plain_scalar(text)
    assert read == value
    assert type(read) is type(value)


def test_quoted_scalars_are_text() -> None:
    assert parse("{a: '1', b: \"true\", c: 1}", "f").tree == {"a": "1", "b": "true", "c": 1}


def test_every_key_and_value_has_its_place() -> None:
    source = parse("a: 1\nb:\n  c.d: [10, {e: 2}]\n", "f.yaml")
    assert source.place(("a",)) == ("f.yaml", 1, 4)
    assert source.place(("b", "c.d"), key=True) == ("f.yaml", 3, 3)
    assert source.place(("b", "c.d", 0)) == ("f.yaml", 3, 9)
    assert source.place(("b", "c.d", 1, "e")) == ("f.yaml", 3, 17)
    assert source.place(("b", "c.d", 1, "absent")) == ("f.yaml", 3, 13), "what is absent is where its parent is"


def test_small_aliases_are_copied() -> None:
    tree = parse("a: &x {b: [1]}\nc: *x\n", "f").tree
    assert tree == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert tree["a"] is not tree["c"]


BAD = {
    "tab": ("a:\n\tb: 1\n", 2, 1, "a tab stands where only spaces may"),
    "open list": ("a: [1\n", 2, 1, "not YAML"),
    "two colons": ("a: b: c\n", 1, 5, "mapping values are not allowed"),
    "wrong indentation": ("a:\n  b: 1\n c: 2\n", 3, 2, "not YAML"),
    "control character": ("a: b\nc: \x01\n", 2, 4, "U+0001"),
    "duplicate key": ("a: 1\nb: 2\na: 3\n", 3, 1, "stands here twice, first in line 1"),
    "nested duplicate": ("a:\n  b: 1\n  b: 2\n", 3, 3, "stands here twice"),
    "object": ("a: !!python/object/apply:os.system [echo]\n", 1, 4, "the tag tag:yaml.org,2002:python/object/apply:os.system"),
    "own tag": ("a: !thing 1\n", 1, 4, "the tag !thing is not allowed"),
    "list key": ("? [1]\n: 2\n", 1, 3, "a key must be text"),
    "number key": ("1: 2\n", 1, 1, "a key must be text"),
    "merge key": ("a: &x {b: 1}\nc: {<<: *x}\n", 2, 5, "merge keys"),
    "undefined alias": ("a: *x\n", 1, 4, "has no anchor"),
    "alias in itself": ("a: &x [*x]\n", 1, 8, "has no anchor &x that ends before it"),
    "two documents": ("a: 1\n---\nb: 2\n", 2, 1, "a second document"),
    "deep": ("a: " + "[" * 60 + "]" * 60 + "\n", 1, 24, "nested deeper"),
    "many digits": (f"a: {'9' * 5000}\n", 1, 4, "digits"),
    "half a surrogate": ('a: "\\ud800"\n', 1, 4, "surrogate"),
    "list": ("- 1\n", 1, 1, "must be a mapping (key: value), not a list"),
    "scalar": ("hello\n", 1, 1, "must be a mapping (key: value), not a single value"),
}


@pytest.mark.parametrize(("text", "line", "column", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, line: int, column: int, message: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    with pytest.raises(SweepFileError) as caught:
        read_source(file)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column) == (str(file), line, column)
    assert message in fault.message
    assert str(caught.value).startswith(f"{file}:{line}:{column}: ")


def test_all_duplicates_and_tags_are_told_at_once() -> None:
    with pytest.raises(SweepFileError) as caught:
        parse("a: 1\na: 2\nb: !t 3\nb: 4\n", "f")
    assert [(fault.line, fault.path) for fault in caught.value.faults] == [(2, "a"), (3, "b"), (4, "b")]


@pytest.mark.parametrize("close", ["", "\nz: *h"])
def test_an_alias_bomb_is_refused_at_once(close: str) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{here}: &{here} [{', '.join([f'*{before}'] * 10)}]" for before, here in zip("abcdefg", "bcdefgh", strict=True)]
    started = time.perf_counter()
    with pytest.raises(SweepFileError, match=f"more than {MAX_NODES} keys and values"):
        parse("\n".join(lines) + close, "f")
    assert time.perf_counter() - started < 2.0


def test_a_long_list_ends_at_the_limit() -> None:
    with pytest.raises(SweepFileError, match="more than"):
        parse(f"a: [{', '.join('1' * 1 for _ in range(MAX_NODES))}]", "f")


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "null\n"])
def test_an_empty_file_is_told_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(SweepFileError, match="the file is empty"):
        read_source(tmp_path / "e.yaml")


def test_files_that_cannot_be_read_are_told_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    for name, message in [
        ("absent", "no such file"),
        (".", "a directory"),
        ("pipe", "no regular file"),
        ("large", "larger than"),
        ("a\0b", "cannot be read"),
        ("x" * 300, "cannot be read"),
    ]:
        with pytest.raises(SweepFileError, match=message):
            read_source(tmp_path / name)


@pytest.mark.parametrize(
    ("raw", "line", "column"),
    [(b"a: 1\nb: \xff\n", 2, 4), ("a: 1".encode("utf-16"), 1, 1), ("é: é\nü: ".encode() + b"\xe9\n", 2, 4)],
)
def test_bytes_that_are_not_utf_8_are_placed(tmp_path: Path, raw: bytes, line: int, column: int) -> None:
    (tmp_path / "b.yaml").write_bytes(raw)
    with pytest.raises(SweepFileError) as caught:
        read_source(tmp_path / "b.yaml")
    (fault,) = caught.value.faults
    assert (fault.line, fault.column) == (line, column)
    assert "not UTF-8" in fault.message


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_source(tmp_path / "b.yaml").tree == {"a": 1}


def test_messages_hold_no_control_characters() -> None:
    with pytest.raises(SweepFileError) as caught:
        parse('"\\e[31mred": 1\n"\\e[31mred": 2\n', "f")
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[31mred" in str(caught.value)


@pytest.mark.parametrize("plain", [{"a": [1, 2.5, None, True, "x"], "b": {"c": "1e-3"}}, {"e": {}}, {"l": []}])
def test_json_is_yaml(plain: dict[str, Any]) -> None:
    assert parse(json.dumps(plain), "f").tree == plain
