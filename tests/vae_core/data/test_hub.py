"""Data sets of the library ``datasets``, saved to disk or read from files beside: without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from vae_core.data import Csv, DataError, HuggingFace, Splitting, Vocabulary

datasets = pytest.importorskip("datasets", reason="pip install 'vae-sweeps[huggingface]'")

ALL = Vocabulary(min_count=1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def rows(n: int, start: int = 0) -> dict[str, list[Any]]:
    places = range(start, start + n)
    return {"text": [f"w{place} x" for place in places], "label": [place % 2 for place in places], "number": [*places]}


def typed(columns: dict[str, list[Any]]) -> Any:
    features = {
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["bad", "good"]),
        "number": datasets.Value("int64"),
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


@pytest.fixture
def saved(tmp_path: Path) -> str:
    parts = {"train": typed(rows(40)), "validation": typed(rows(6, 100)), "test": typed(rows(8, 200))}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    return str(tmp_path / "saved")


def fault(config: HuggingFace) -> str:
    with pytest.raises(DataError) as caught:
        config.load()
    message = str(caught.value)
    assert "\n" not in message
    return message


def texts(data: Any, split: str) -> list[str]:
    source = data.splits[split]
    return [data.vocabulary.decode(source.tokens[a:b]) for a, b in zip(source.offsets, source.offsets[1:], strict=False)]


def test_a_saved_data_set_is_read_by_its_splits(saved: str) -> None:
    data = HuggingFace(name=saved, vocabulary=ALL).load()
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 40, "valid": 6, "test": 8}
    assert texts(data, "train") == rows(40)["text"]
    assert data.labels is None
    assert data.name == "/".join(Path(saved).parts[-2:])


def test_it_is_the_data_that_a_file_of_the_same_rows_is(saved: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"w{place} x,{('bad', 'good')[place % 2]}\n" for place in range(40)))
    split = Splitting(valid=0.2, test=0.1, seed=3)
    options: dict[str, Any] = {"vocabulary": ALL, "split": split, "label_column": "label"}
    found = HuggingFace(name=saved, valid=None, test=None, **options).load()
    assert found.fingerprint == Csv(train=str(tmp_path / "a.csv"), **options).load().fingerprint
    assert found.labels == ("bad", "good")


def test_other_splits_columns_and_units(tmp_path: Path) -> None:
    columns = {"body": ["One a. Two a.", None, "Three b."] * 9, "kind": ["p", None, "q"] * 9}
    datasets.DatasetDict({"all": datasets.Dataset.from_dict(columns)}).save_to_disk(str(tmp_path / "a"))
    config = HuggingFace(
        name=str(tmp_path / "a"), train="all", valid="all", test="all", column="body", label_column="kind", unit="sentence",
        vocabulary=ALL,
    )  # fmt: skip
    data = config.load()
    assert data.labels == ("p", "q")
    assert data.splits["train"].labels is not None
    assert data.splits["train"].labels.tolist() == [0, 0, 1] * 9
    assert texts(data, "test")[:3] == ["One a .", "Two a .", "Three b ."]


def test_one_split_alone_is_train(tmp_path: Path) -> None:
    typed(rows(30)).save_to_disk(str(tmp_path / "one"))
    data = HuggingFace(name=str(tmp_path / "one"), valid=None, test=None, vocabulary=ALL).load()
    assert sum(len(split) for split in data.splits.values()) == 30
    assert "has no split 'validation'; it has 'train': name one of them, or null" in fault(
        HuggingFace(name=str(tmp_path / "one"))
    )


def test_a_directory_of_files(tmp_path: Path) -> None:
    for name, start in (("train", 0), ("test", 50)):
        lines = [f"{text},{number}" for text, number in zip(rows(20, start)["text"], rows(20, start)["number"], strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,number", *lines]) + "\n")
    data = HuggingFace(name=str(tmp_path), valid=None, vocabulary=ALL, split=Splitting(valid=0.1)).load()
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 18, "valid": 2, "test": 20}


def test_what_is_not_there_is_told_in_a_sentence(saved: str, tmp_path: Path) -> None:
    said = fault(HuggingFace(name=saved, valid="valid"))
    assert said.startswith("data.valid: ")
    assert "has no split 'valid'; it has 'train', 'validation', 'test': did you mean 'validation'?, or null" in said
    assert "'txt'; it has 'text', 'label', 'number'; did you mean 'text'?: say data.column" in fault(
        HuggingFace(name=saved, column="txt")
    )
    assert "column 'number' holds Value('int64'), not text" in fault(HuggingFace(name=saved, column="number"))
    assert "has no column 'y'" in fault(HuggingFace(name=saved, label_column="y"))
    assert "data.config: small, was saved to disk" in fault(HuggingFace(name=saved, config="small"))
    assert "there is no such directory" in fault(HuggingFace(name=str(tmp_path / "none")))
    assert "there is no such directory" in fault(HuggingFace(name="./none"))
    (tmp_path / "empty").mkdir()
    assert f"data.name: {tmp_path / 'empty'} cannot be loaded: " in fault(HuggingFace(name=str(tmp_path / "empty")))
    blank = datasets.Dataset.from_dict({"text": ["", None]})
    blank.save_to_disk(str(tmp_path / "blank"))
    said = fault(HuggingFace(name=str(tmp_path / "blank"), valid=None, test=None))
    assert "train: column 'text' has no text in any of 2 rows" in said


def test_examples_without_a_class_are_named(tmp_path: Path) -> None:
    typed({"text": ["a b", "c d"], "label": [1, -1], "number": [0, 1]}).save_to_disk(str(tmp_path / "a"))
    said = fault(HuggingFace(name=str(tmp_path / "a"), valid=None, test=None, label_column="label"))
    assert "train, row 2: there is no label in 'label'" in said


def run(program: str, tmp_path: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False,
        env={"HF_HOME": str(tmp_path / "home"), "PATH": "", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_a_network_a_name_of_the_hub_is_a_data_error(tmp_path: Path) -> None:
    program = """
from vae_core.data import DataError, HuggingFace
try:
    HuggingFace(name="nobody/nothing").load()
except DataError as error:
    print(error)
"""
    said = run(program, tmp_path, HF_HUB_OFFLINE="1")
    assert said.startswith("data.name: nobody/nothing cannot be loaded: Couldn't reach 'nobody/nothing' on the Hub")
    assert said.count("\n") == 1


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["datasets"] = None
from vae_core.data import DataError, HuggingFace
try:
    HuggingFace(name="a").load()
except DataError as error:
    print(error)
"""
    expected = "data.kind: huggingface needs the library datasets: install it by pip install 'vae-sweeps[huggingface]'\n"
    assert run(program, tmp_path) == expected
