"""From the file to the spec and back: overrides, defaults, data paths, canonical text, and what it imports."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.spec import SweepFileError, check_data_files, load_sweep, make_trial_config, parse_sweep, spec_text
from orchestration.spec.budget import Budget
from orchestration.spec.early_terminate import Asha
from orchestration.spec.search_space import SearchSpace
from tests.conftest import ROOT, TINY
from tests.orchestration.spec.tables import write_table

SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))

TEXT_FILES = """\
version: 1
name: files
trial:
  data: {kind: text_file, train: data/train.txt, valid: data/valid.txt}
  model: {encoder: {kind: lstm}, decoder: {kind: lstm}}
method: random
parameters: {objective.beta: {min: 0.1, max: 1.0}}
run_cap: 2
"""


def test_there_are_sweeps() -> None:
    assert {"quickstart.yaml", "digits.yaml", "wikitext2_softmax.yaml", "shakespeare_annealing.yaml"} <= {f.name for f in SWEEPS}


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_sweep_of_the_project_loads_asks_a_question_and_makes_its_trials(file: Path) -> None:
    spec = load_sweep(file)
    assert spec.question.endswith("?")
    space = SearchSpace(spec.parameters)
    assert make_trial_config(spec, space.example())
    assert "#" in file.read_text(), "it is commented"
    if spec.method == "grid":
        assert spec.run_cap == space.size()


def test_the_text_of_a_sweep_is_loaded_as_it_is_written(tiny: Path) -> None:
    spec = load_sweep(tiny)
    assert (spec.name, spec.method, spec.run_cap, spec.search.seed) == ("tiny", "random", 4, 1)
    assert list(spec.parameters) == ["optimizer.lr", "objective.beta", "objective.annealing"]
    assert spec.early_terminate is None
    assert spec.collapse is None
    assert spec.budget.wall_time_s == float("inf")


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_the_canonical_text_loads_to_an_equal_spec_and_is_its_own_canonical_text(file: Path) -> None:
    spec = load_sweep(file)
    text = spec_text(spec)
    again = parse_sweep(text)
    assert again == spec
    assert spec_text(again) == text


@settings(deadline=None, max_examples=50)
@given(
    st.text(max_size=30)
    | st.sampled_from(
        ["1e-3", "null", "- a", "{", "yes", ".5", "0x1", "12:30", "a: b", "# c", "1_0", "é", "\x85", "a\r\nb ", "\u2028", "😀"]
    )
)
def test_any_text_survives_the_canonical_text(question: str) -> None:
    spec = parse_sweep(TINY).model_copy(update={"question": question})
    assert parse_sweep(spec_text(spec)).question == question


@settings(deadline=None, max_examples=50)
@given(st.floats(min_value=1e-300, max_value=1e300) | st.integers(1, 2**53))
def test_any_number_survives_the_canonical_text(high: float) -> None:
    spec = parse_sweep(TINY.replace("max: 1e-2", f"max: {high!r}").replace("min: 1e-3", "min: 1e-300"))
    assert parse_sweep(spec_text(spec)) == spec


OVERRIDES: dict[str, Callable[[Any], bool]] = {
    "trial.training.epochs=7": lambda spec: spec.trial["training"] == {"epochs": 7, "batch_size": 64},
    "trial.optimizer.kind=adamw": lambda spec: spec.trial["optimizer"] == {"kind": "adamw"},
    "parameters.optimizer.lr.max=0.5": lambda spec: spec.parameters["optimizer.lr"].max == 0.5,
    "parameters.objective.annealing.choices.linear.warmup.min=0.2": (
        lambda spec: spec.parameters["objective.annealing"].choices["linear"]["warmup"].min == 0.2
    ),
    "parameters.training.clip_norm={values: [1.0, 5.0]}": lambda spec: spec.parameters["training.clip_norm"].values == (1.0, 5.0),
    "search.seed=5": lambda spec: spec.search.seed == 5,
    "early_terminate={type: asha, min_epochs: 2}": lambda spec: spec.early_terminate == Asha(type="asha", min_epochs=2),
    "budget.wall_time=1h30m": lambda spec: spec.budget == Budget(wall_time="1h30m"),
    "question=why?": lambda spec: spec.question == "why?",
    "run_cap=1": lambda spec: spec.run_cap == 1,
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_overrides(tiny: Path, override: str) -> None:
    assert OVERRIDES[override](load_sweep(tiny, [override]))


def test_later_overrides_win_and_the_name_is_replaced(tiny: Path) -> None:
    spec = load_sweep(tiny, ["run_cap=2", "run_cap=3"], name="other")
    assert (spec.run_cap, spec.name) == (3, "other")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run_cap", "must be path=value"),
        ("=3", "must be path=value"),
        ("a..b=3", "must be path=value"),
        ("run_cap.x=3", "run_cap is no mapping"),
        ("run_cap=[1", "not YAML"),
        ("run_cap=many", "valid integer"),
        ("parameters.objective.beta.min=2.0", "min (2.0) is above max (1.0)"),
        ("trial.training.epoch=3", "did you mean: epochs"),
        ("training.epochs=3", "did you mean: trial.training"),
        ("lr=3", "did you mean: trial.optimizer.lr"),
        ("parameters.model.latent.size={values: [2, 4]}", "set twice, here and in trial.model.latent.size (line 6)"),
        ("name=../x", "must be 1 to 64 letters"),
    ],
)
def test_wrong_overrides_name_the_option(tiny: Path, override: str, message: str) -> None:
    with pytest.raises(SweepFileError) as caught:
        load_sweep(tiny, [override])
    assert message in str(caught.value)
    assert all(fault.file == f"--set {override}" for fault in caught.value.faults)


def test_a_wrong_name_names_the_option(tiny: Path) -> None:
    with pytest.raises(SweepFileError, match=r"^--name: name: must be 1 to 64"):
        load_sweep(tiny, name="../../etc")


def write_data(directory: Path) -> None:
    (directory / "data").mkdir()
    for name in ("train.txt", "valid.txt"):
        (directory / "data" / name).write_text("a sentence\n")


def test_a_relative_path_is_taken_from_here_and_else_from_the_sweep_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for directory in (here, there):
        directory.mkdir()
        write_data(directory)
    (there / "files.yaml").write_text(TEXT_FILES)
    monkeypatch.chdir(here)
    (here / "data" / "valid.txt").unlink()
    spec = load_sweep(Path("..") / "there" / "files.yaml", data_files=True)
    assert spec.trial["data"]["train"] == str(here / "data" / "train.txt")
    assert spec.trial["data"]["valid"] == str(there / "data" / "valid.txt")
    assert parse_sweep(spec_text(spec)) == spec, "absolute paths stay"


def test_searched_paths_become_absolute_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    searched = "parameters: {data.train: {values: [data/train.txt, data/valid.txt]}}"
    text = TEXT_FILES.replace("train: data/train.txt, ", "").replace(
        "parameters: {objective.beta: {min: 0.1, max: 1.0}}", searched
    )
    spec = parse_sweep(text, data_files=True)
    assert spec.to_dict()["parameters"]["data.train"]["values"] == [
        str(tmp_path / "data" / name) for name in ("train.txt", "valid.txt")
    ]
    chosen = "parameters: {data: {choices: {text_file: {train: {value: data/train.txt}}, python_docs: {}}}}"
    text = text.replace(searched, chosen).replace("data: {kind: text_file, valid: data/valid.txt}", "data: {}")
    option = parse_sweep(text, data_files=True).to_dict()["parameters"]["data"]["choices"]["text_file"]
    assert option["train"]["value"] == str(tmp_path / "data" / "train.txt")


@pytest.mark.parametrize(
    ("content", "message"), [(None, "there is no such file"), (b"", "empty"), (b"abc\0\1", "binary"), ("dir", "a directory")]
)
def test_data_files_that_cannot_be_it_are_told_with_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | str | None, message: str
) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "data" / "valid.txt"
    bad.unlink()
    if content == "dir":
        bad.mkdir()
    elif isinstance(content, bytes):
        bad.write_bytes(content)
    (tmp_path / "files.yaml").write_text(TEXT_FILES)
    with pytest.raises(SweepFileError, match=message) as caught:
        load_sweep("files.yaml", data_files=True)
    (fault,) = caught.value.faults
    assert (fault.line, fault.column, fault.path) == (4, 57, "trial.data.valid")
    with pytest.raises(SweepFileError, match=message):
        check_data_files(load_sweep("files.yaml"))


def test_two_byte_text_is_not_taken_for_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("train.txt", "valid.txt"):
        (tmp_path / "data" / name).write_text("a sentence\n", encoding="utf-16")
    with pytest.raises(SweepFileError, match="binary"):
        parse_sweep(TEXT_FILES, data_files=True)
    assert parse_sweep(TEXT_FILES.replace("{kind: text_file,", "{kind: text_file, encoding: utf-16,"), data_files=True)


@pytest.mark.parametrize("kind", ["csv", "json_lines", "parquet"])
def test_files_of_tables_are_found_and_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    text = TEXT_FILES.replace("kind: text_file", f"kind: {kind}")
    if kind == "parquet":
        with pytest.raises(SweepFileError, match="this is no Parquet file"):
            parse_sweep(text, data_files=True)
    for name in ("train.txt", "valid.txt"):
        write_table(tmp_path / "data" / name, kind, {"id": ["1"], "text": ["a line"]})
    assert parse_sweep(text, data_files=True).trial["data"]["valid"] == str(tmp_path / "data" / "valid.txt")


def test_files_of_labels_are_found_and_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    one = "train: data/train.txt, valid: data/valid.txt}"
    text = TEXT_FILES.replace("kind: text_file", "kind: labelled_files").replace(
        one, "train: {a: data/train.txt, b: data/valid.txt}}"
    )
    assert parse_sweep(text, data_files=True).trial["data"]["train"] == {
        label: str(tmp_path / "data" / name) for label, name in (("a", "train.txt"), ("b", "valid.txt"))
    }
    (tmp_path / "data" / "valid.txt").write_text("")
    with pytest.raises(SweepFileError, match="the file is empty") as caught:
        parse_sweep(text, data_files=True)
    assert [fault.path for fault in caught.value.faults] == ["trial.data.train.b"]


def test_loading_needs_no_heavy_import_and_no_time() -> None:
    program = f"""
import sys, time
import orchestration.spec, orchestration.spec.schema, orchestration.templates
started = time.perf_counter()
orchestration.spec.load_sweep({str(ROOT / "sweeps" / "quickstart.yaml")!r})
print(time.perf_counter() - started)
print(*sorted({{"torch", "ray", "mlflow", "optuna", "numpy", "pandas", "sklearn"}} & set(sys.modules)))
"""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, heavy = done.stdout.split("\n")[:2]
    assert heavy == ""
    assert float(seconds) < 0.5
    assert time.perf_counter() - started < 5.0


def test_durations_are_in_seconds() -> None:
    times = {"90s": 90, "30m": 1800, "2h": 7200, "1h30m": 5400, "1d1s": 86401}
    assert {text: Budget(wall_time=text).wall_time_s for text in times} == times


def test_a_directory_s_name_becomes_absolute_and_a_name_of_the_hub_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, found in (("data", str(tmp_path / "data")), ("stanfordnlp/imdb", "stanfordnlp/imdb")):
        data = f"kind: huggingface, name: {name}}}"
        text = TEXT_FILES.replace("kind: text_file, train: data/train.txt, valid: data/valid.txt}", data)
        assert parse_sweep(text, data_files=True).trial["data"]["name"] == found
