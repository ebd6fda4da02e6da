"""What a user can get wrong with a file of text: one readable message that names it and says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vae_core.data import DataError, TextFile, Vocabulary

GOOD = "the cat sat\n" * 20


def fault(train: Path, **options: Any) -> str:
    """The message with which loading fails; it names the field and the file."""
    with pytest.raises(DataError) as caught:
        TextFile(train=str(train), **options).load()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("data.")
    return message


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(GOOD)
    message = fault(tmp_path / "trian.txt")
    assert f"data.train: {tmp_path / 'trian.txt'}: there is no such file" in message
    assert f"did you mean {tmp_path / 'train.txt'}?" in message
    assert f"nor is there a directory {tmp_path / 'nowhere'}" in fault(tmp_path / "nowhere" / "train.txt")


def test_a_relative_path_says_where_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"(looked from {tmp_path})" in fault(Path("train.txt"))


def test_the_field_is_the_one_that_was_wrong(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(GOOD)
    assert fault(tmp_path / "train.txt", valid=str(tmp_path / "v.txt")).startswith("data.valid: ")


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(GOOD)
    assert "is a directory: name a file in it, such as a.txt" in fault(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b" \n\n\t\n", "holds only blank lines"),
        (b"\xef\xbb\xbf\n", "holds only blank lines"),
        (b"PK\x03\x04abc\0\0", r"is no text: byte 7 is NUL.*plain text"),
        ("the cat\n".encode("utf-16"), "is no text: byte 3 is NUL.*utf-16"),
        (b"fine\nthe caf\xe9 is\n", r"line 2, byte 8 of it \(byte 12 of the file\): 0xe9 is not utf-8.*data.encoding"),
        (b"one line\n", "1 example, too few for train and valid and test"),
        (b"a b\nc d\n", "2 examples, too few for train and valid and test"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(content)
    said = fault(path)
    assert str(path) in said
    assert re.search(message, said), said


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_other_encodings_line_ends_and_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "train.txt").write_bytes(("le café noir\r\nun café\rle thé\n" * 10).encode(encoding))
    data = TextFile(train=str(tmp_path / "train.txt"), encoding=encoding, vocabulary=Vocabulary(min_count=1)).load()
    assert set(data.vocabulary.words) == {"le", "café", "noir", "un", "thé", "<unk>", "<s>", "</s>", "<pad>"}


def test_sentences_of_unwanted_lengths(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(GOOD)
    said = fault(path, max_length=2)
    assert "none of 20 sentences has 1 to 2 words (they have 3 to 3): raise data.max_length" in said
    assert "data.unit: sentence splits paragraphs" in said
    assert "data.unit" not in fault(path, max_length=2, unit="sentence")
    assert "lower data.min_length" in fault(path, min_length=5)


def test_a_valid_file_without_a_usable_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(GOOD)
    (tmp_path / "valid.txt").write_text("one\n")
    assert fault(tmp_path / "train.txt", valid=str(tmp_path / "valid.txt"), min_length=2).startswith("data.valid: ")


@pytest.mark.parametrize(
    ("split", "word", "lowercase"), [("train", "<s>", False), ("valid", "</s>", False), ("train", "<PAD>", True)]
)
def test_reserved_words(tmp_path: Path, split: str, word: str, lowercase: bool) -> None:
    for name in ("train", "valid"):
        (tmp_path / f"{name}.txt").write_text(GOOD + (f"a {word} b\n" if name == split else ""))
    options = {"valid": str(tmp_path / "valid.txt"), "vocabulary": Vocabulary(lowercase=lowercase)}
    said = fault(tmp_path / "train.txt", **options)
    assert said.startswith(f"data.{split}: ")
    assert f"contains {word} as a word" in said


def test_a_text_without_a_frequent_word(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("\n".join(f"w{i}" for i in range(30)))
    with pytest.raises(DataError, match=r"most frequent occurs 1 times in train, data\.vocabulary\.min_count is 2"):
        TextFile(train=str(path)).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "utf-7-of-9"}, "no text encoding"),
        ({"encoding": "hex"}, "no text encoding"),
        ({"min_length": 9, "max_length": 8}, r"min_length \(9\) is above max_length \(8\)"),
        ({"train": ""}, "at least 1 character"),
    ],
)
def test_options_that_are_wrong_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TextFile(**{"train": "x", **options})
