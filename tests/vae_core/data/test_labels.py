"""Labels: every source gives the same ones, they stay with their examples, and data without any stay as they were."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from pydantic import ValidationError
from sklearn.datasets import load_digits

from vae_core.data import Csv, DataError, Digits, JsonLines, LabelledFiles, Npz, NpzLabels, Parquet, TextTable, Vocabulary
from vae_core.data.images import ImageData
from vae_core.data.labels import label_names, label_number
from vae_core.data.text import TextData

ALL = Vocabulary(min_count=1)
TABLES: dict[str, type[TextTable]] = {"csv": Csv, "json_lines": JsonLines, "parquet": Parquet}
every_table = pytest.mark.parametrize("kind", TABLES)
GREY = np.linspace(0, 255, 30 * 4 * 5).reshape(30, 4, 5).astype(np.uint8)


def write(kind: str, path: Path, rows: list[dict[str, Any]]) -> str:
    if kind == "csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    elif kind == "json_lines":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    return str(path)


def pairs(data: TextData, split: str) -> list[tuple[str, str]]:
    """Each sentence and the name of its label, read through a batch."""
    assert data.labels is not None
    batch = data.batch(split, np.arange(len(data.splits[split])))
    assert batch.labels is not None
    assert (batch.labels.dtype, batch.labels.shape) == (torch.int64, (batch.size,))
    texts = [data.vocabulary.decode(row) for row in batch.targets.tolist()]
    return [(text, data.labels[number]) for text, number in zip(texts, batch.labels.tolist(), strict=True)]


def fault(config: Any) -> str:
    with pytest.raises(DataError) as caught:
        config.load()
    message = str(caught.value)
    assert "\n" not in message
    return message


def sentiments(n: int) -> list[dict[str, Any]]:
    """Rows whose label can be told from the text."""
    return [
        {"text": f"w{place} is {'good' if place % 3 else 'bad'}", "mood": "pos" if place % 3 else "neg"} for place in range(n)
    ]


@every_table
def test_labels_stay_with_their_rows_through_gaps_limits_and_splits(kind: str, tmp_path: Path) -> None:
    rows = sentiments(60)
    rows[7]["text"] = ""
    rows[8]["text"] = "one that is far too long to be kept here"
    rows.append({"text": " ", "mood": None})  # a row without text needs no label
    train = write(kind, tmp_path / "a", rows)
    data = TABLES[kind](train=train, label_column="mood", max_length=3, vocabulary=ALL).load()
    assert data.labels == ("neg", "pos")
    assert sum(len(split) for split in data.splits.values()) == 58
    for split in data.splits:
        for text, label in pairs(data, split):
            assert label == {"good": "pos", "bad": "neg"}[text.split()[-1]]
    assert {label for _, label in pairs(data, "train")} == {"neg", "pos"}


@every_table
def test_sentences_of_a_row_have_the_row_s_label(kind: str, tmp_path: Path) -> None:
    rows = [{"text": "One a. Two a.", "y": "a"}, {"text": "One b. Two b. Three b.", "y": "b"}]
    name = write(kind, tmp_path / "a", rows)
    data = TABLES[kind](train=name, valid=name, test=name, unit="sentence", label_column="y", vocabulary=ALL).load()
    assert [label for _, label in pairs(data, "test")] == ["a", "a", "b", "b", "b"]


@every_table
def test_integers_are_sorted_by_value_and_valid_s_labels_are_train_s(kind: str, tmp_path: Path) -> None:
    rows = [{"text": f"w{place}", "y": place % 12} for place in range(24)]
    train, few = write(kind, tmp_path / "a", rows), write(kind, tmp_path / "b", rows[9:12])
    data = TABLES[kind](train=train, valid=few, test=few, label_column="y", vocabulary=ALL).load()
    assert data.labels == tuple(str(number) for number in range(12))
    labels = data.splits["valid"].labels
    assert labels is not None
    assert labels.tolist() == [9, 10, 11]


def test_truth_values_are_labels_and_other_values_are_not(tmp_path: Path) -> None:
    rows = [{"text": f"w{place}", "y": place % 2 == 0, "z": 0.5} for place in range(6)]
    for kind in ("json_lines", "parquet"):
        name = write(kind, tmp_path / kind, rows)
        made = TABLES[kind](train=name, valid=name, test=name, label_column="y", vocabulary=ALL)
        assert made.load().labels == ("false", "true")
        said = fault(TABLES[kind](train=name, label_column="z"))
        assert "the label 0.5 in 'z' is neither text nor an integer nor a truth value" in said
        assert (", line 1: " if kind == "json_lines" else ", row 1: ") in said


@every_table
def test_rows_without_a_label_and_columns_that_are_not_there(kind: str, tmp_path: Path) -> None:
    rows = sentiments(9)
    rows[4]["mood"] = None
    name = write(kind, tmp_path / "a", rows)
    said = fault(TABLES[kind](train=name, label_column="mood"))
    assert (
        f"{name}, {'row 5' if kind == 'parquet' else 'line 6' if kind == 'csv' else 'line 5'}: there is no label in 'mood'"
        in said
    )
    said = fault(TABLES[kind](train=name, label_column="modo"))
    assert "'modo'; it has 'text', 'mood'; did you mean 'mood'?: " in said
    assert "data.label_column" in said


@every_table
def test_a_label_that_train_does_not_have(kind: str, tmp_path: Path) -> None:
    train = write(kind, tmp_path / "a", sentiments(9))
    other = write(kind, tmp_path / "b", [{"text": "a b", "mood": "poss"}])
    said = fault(TABLES[kind](train=train, valid=other, label_column="mood"))
    assert said.startswith(f"data.valid: {other}: there is no label 'poss' in train; it has 'neg', 'pos'; did you mean 'pos'?")


def test_a_label_whose_examples_were_all_dropped(tmp_path: Path) -> None:
    rows = [*sentiments(9), {"text": "one two three four", "mood": "long"}]
    name = write("csv", tmp_path / "a", rows)
    said = fault(Csv(train=name, valid=name, test=name, label_column="mood", max_length=3))
    assert "label 'long' has no example left in train" in said


def test_one_file_a_label(tmp_path: Path) -> None:
    for name, word in (("a", "good"), ("b", "bad"), ("c", "bad")):
        (tmp_path / name).write_text("".join(f"it{place} is {word}\n\n" for place in range(20)))
    train = {"pos": str(tmp_path / "a"), "neg": str(tmp_path / "b")}
    data = LabelledFiles(train=train, test={"neg": str(tmp_path / "c")}, vocabulary=ALL).load()
    assert data.labels == ("neg", "pos")
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 36, "valid": 4, "test": 20}
    for split in data.splits:
        assert all(text.endswith("good") == (label == "pos") for text, label in pairs(data, split))
    assert data.name == f"{tmp_path.name}/a+{tmp_path.name}/b"
    assert "data.test.neg: " in fault(LabelledFiles(train=train, test={"neg": str(tmp_path / "none")}))
    assert "there is no label 'ned' in train; it has 'neg', 'pos'" in fault(
        LabelledFiles(train=train, test={"ned": str(tmp_path / "c")})
    )
    with pytest.raises(ValidationError, match="at least 1 item"):
        LabelledFiles(train={})


def image_labels(data: ImageData, split: str) -> list[int]:
    labels = data.batch(split, np.arange(len(data.splits[split])), torch.Generator().manual_seed(0)).labels
    assert labels is not None
    assert labels.dtype == torch.int64
    return labels.tolist()


def test_digits_know_their_numbers() -> None:
    data = Digits(labels=True, pixels="grey").load()
    assert data.labels == tuple("0123456789")
    by_content = {image.astype(np.float32).tobytes(): int(label) for image, label in zip(*_bundled(), strict=True)}
    for split in data.splits:
        assert image_labels(data, split) == [by_content[image.tobytes()] for image in data.splits[split].pixels]
    assert sum(Counter(image_labels(data, split)).total() for split in data.splits) == 1797


def _bundled() -> tuple[Any, Any]:
    found = load_digits()
    return found.images / 16, found.target


@pytest.mark.parametrize("pixels", ["dynamic", "static", "grey"])
@pytest.mark.parametrize("kind", ["int", "text", "bool"])
def test_npz_labels_stay_with_their_images(pixels: Any, kind: str, tmp_path: Path) -> None:
    bright = GREY.mean((1, 2)) > 120
    y = {"int": bright.astype(np.uint8) + 3, "text": np.where(bright, "light", "dark"), "bool": bright}[kind]
    np.savez(tmp_path / "a.npz", x=GREY, y=y, z=GREY[20:], w=y[20:])
    options: dict[str, Any] = {"train": "x", "test": "z", "labels": NpzLabels(train="y", test="w")}
    data = Npz(path=str(tmp_path / "a.npz"), pixels=pixels, **options).load()
    assert data.labels == {"int": ("3", "4"), "text": ("dark", "light"), "bool": ("false", "true")}[kind]
    assert image_labels(data, "test") == [1] * 10
    if pixels == "grey":
        for split in ("train", "valid"):
            assert image_labels(data, split) == [int(image.mean() > 120) for image in data.splits[split].pixels]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(29, dtype=int), r"data\.labels\.train: array 'y' of \S+ has shape \(29,\); labels are \(30,\), one for each"),
        (np.zeros((30, 1), dtype=int), r"has shape \(30, 1\)"),
        (np.zeros(30), "is float64; save labels as integers, truth values or text"),
        (np.arange(30), r"label '\d+' and \d others has no example left in train"),
    ],
)
def test_arrays_that_are_no_labels(y: Any, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=y)
    with pytest.raises(DataError, match=message):
        Npz(path=str(tmp_path / "a.npz"), train="x", test=None, labels=NpzLabels(train="y", test=None)).load()


def test_labels_are_named_for_the_splits_that_have_images() -> None:
    with pytest.raises(ValidationError, match=r"labels\.valid is null, but valid is x_valid: name both arrays, or neither"):
        Npz(path="a", valid="x_valid", labels=NpzLabels())
    with pytest.raises(ValidationError, match=r"labels\.test is y_test, but test is null"):
        Npz(path="a", test=None, labels=NpzLabels())


def test_labels_enter_the_fingerprint_only_where_they_are(tmp_path: Path) -> None:
    rows = [{"text": f"w{place % 5} x", "y": str(place % 2)} for place in range(30)]
    name = write("csv", tmp_path / "a.csv", rows)
    other = write("csv", tmp_path / "b.csv", [{**row, "y": str(1 - int(row["y"]))} for row in rows])
    plain = Csv(train=name, vocabulary=ALL).load()
    assert plain.labels is None
    assert plain.batch("train", np.arange(3)).labels is None
    assert plain.fingerprint == "1d56a389684027e7"  # as it was before there were labels
    labelled = [Csv(train=file, vocabulary=ALL, label_column="y").load().fingerprint for file in (name, name, other)]
    assert labelled[0] == labelled[1]
    assert len({plain.fingerprint, *labelled}) == 3
    assert Digits().load().fingerprint == "fcd044457058c1f6"
    assert Digits(labels=True).load().fingerprint != "fcd044457058c1f6"


def test_labels_cannot_be_written_to_through_a_batch() -> None:
    data = Digits(labels=True).load()
    before = image_labels(data, "test")
    batch = data.batch("test", np.arange(5))
    assert batch.labels is not None
    batch.labels.fill_(-1)
    assert image_labels(data, "test") == before
    with pytest.raises(ValueError, match="read-only"):
        data.splits["test"].labels[0] = 3  # type: ignore[index]


def test_names_and_numbers() -> None:
    assert label_names(["10", "9", "-1", "10"]) == ("-1", "9", "10")
    assert label_names(["b", "10", "a"]) == ("10", "a", "b")
    assert label_number("b", ("a", "b"), "here") == 1
    with pytest.raises(
        DataError, match=r"^here: there is no label 'sport' in train; it has 'arts', 'sports'; did you mean 'sports'\?$"
    ):
        label_number("sport", ("arts", "sports"), "here")
