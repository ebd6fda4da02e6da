"""``generate`` for models that know labels: each of them, one of them, and what is said of one that is not there."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from orchestration import attribute_view, trial_view
from orchestration.cli import app
from orchestration.decoding_flags import DecodingFault
from orchestration.output import OutputFault
from vae_core.checkpoint import save_model
from vae_core.config import TrialConfig
from vae_core.data.errors import DataError
from vae_core.decoding import Greedy
from vae_core.model import build_model
from vae_core.seeding import make_generator


class Where:
    tracking_uri = ""


def keep(plain: dict[str, Any], monkeypatch: pytest.MonkeyPatch, directory: Path) -> Any:
    """An untrained model where a finished trial's is looked for."""
    config = TrialConfig.from_dict(plain)
    data = config.data.load()
    save_model(build_model(config, data, make_generator(0, "init")), config, data, directory)
    monkeypatch.setattr(trial_view, "find_trial", lambda run, tracking_uri: run)
    monkeypatch.setattr(trial_view, "trial_artifacts", lambda *_, **__: nullcontext(directory))
    return Where()


def images(condition: bool) -> dict[str, Any]:
    return {
        "data": {"kind": "digits", "labels": condition},
        "model": {
            "encoder": {"kind": "mlp", "hidden": [8]},
            "decoder": {"kind": "mlp", "hidden": [8]},
            "latent": {"kind": "gaussian", "size": 2},
            "condition": {"embedding": 4} if condition else None,
        },
    }


def texts(directory: Path) -> dict[str, Any]:
    for name, text in (("pos", "a good day\n"), ("neg", "a bad day\n")):
        (directory / name).write_text(text * 20)
    return {
        "data": {"kind": "labelled_files", "train": {name: str(directory / name) for name in ("pos", "neg")}, "max_length": 5},
        "model": {
            "encoder": {"kind": "lstm", "embedding": 4, "hidden": 4},
            "decoder": {"kind": "lstm", "hidden": 4},
            "latent": {"kind": "gaussian", "size": 2},
            "prior": {"kind": "label"},
        },
    }


def test_sentences_of_each_label_stand_behind_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where = keep(texts(tmp_path), monkeypatch, tmp_path / "model")
    lines = trial_view.generate_samples("x/1", 3, None, 0, None, where).split("\n")
    assert [line.partition("\t")[0] for line in lines] == ["neg"] * 3 + ["pos"] * 3
    one = trial_view.generate_samples("x/1", 3, None, 0, None, where, "neg").split("\n")
    assert len(one) == 3
    assert not any("\t" in line for line in one)
    message = r"^--label nag: there is no label 'nag' in train; it has 'neg', 'pos'; did you mean 'neg'\?$"
    with pytest.raises(DataError, match=message):
        trial_view.generate_samples("x/1", 3, None, 0, None, where, "nag")


def test_images_are_rows_of_a_label(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where, file = keep(images(True), monkeypatch, tmp_path / "model"), tmp_path / "a.png"
    trial_view.generate_samples("x/1", 3, None, 0, file, where)
    with Image.open(file) as read:
        assert read.size == (8 * (3 * 9 - 1), 8 * (10 * 9 - 1))
    trial_view.generate_samples("x/1", 3, None, 0, file, where, "7")
    with Image.open(file) as read:
        assert read.size == (8 * (8 * 9 - 1), 8 * 8)
        assert np.asarray(read)[:, : 8 * 26].min() < 255


def test_a_model_without_labels_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where = keep(images(False), monkeypatch, tmp_path / "model")
    with pytest.raises(DataError, match=r"^--label 7: this model tells no labels apart"):
        trial_view.generate_samples("x/1", 3, None, 0, tmp_path / "a.png", where, "7")


def test_the_command_hands_the_label_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(trial_view, "generate_samples", lambda *arguments: seen.extend(arguments) or "")
    done = CliRunner().invoke(app, ["generate", "x/1", "--label", "pos", "--home", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "pos" in seen


def test_the_command_changes_test_examples_towards_a_label(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = texts(tmp_path)
    keep(plain, monkeypatch, tmp_path / "model")
    found = SimpleNamespace(tags={"data.fingerprint": TrialConfig.from_dict(plain).data.load().fingerprint})
    monkeypatch.setattr(attribute_view, "find_trial", lambda run, tracking_uri: found)
    monkeypatch.setattr(attribute_view, "trial_artifacts", lambda *_, **__: nullcontext(tmp_path / "model"))

    def vae_sweeps(*words: str) -> Any:
        return CliRunner().invoke(app, ["generate", "x/1", *words, "--home", str(tmp_path)])

    done = vae_sweeps("--attribute", "pos", "--minus", "neg", "-n", "2")
    assert done.exit_code == 0, done.output
    assert done.output.count("input  a bad day\n") == 2
    assert done.output.count("\n+1.0   ") == 2
    every = vae_sweeps("--attribute", "neg")
    assert "input  a good day" in every.output
    assert "input  a bad day" not in every.output
    for words, message in (
        (
            ("--attribute", "poss"),
            "--attribute poss: there is no label 'poss' in train; it has 'neg', 'pos'; did",
        ),
        (("--attribute", "pos", "--minus", "pos"), "--minus pos: that is the attribute itself"),
        (("--minus", "pos"), "--minus pos goes with --attribute NAME"),
        (("--attribute", "pos", "--label", "pos"), "--label, --codes and --svd-width go without it"),
    ):
        assert message in str(vae_sweeps(*words).exception)
    (tmp_path / "neg").write_text("another day\n" * 20)
    assert "the data of x/1 have changed since" in str(vae_sweeps("--attribute", "pos").exception)


def test_changed_images_are_rows_of_an_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain, file = images(False), tmp_path / "a.png"
    plain["data"]["labels"] = True
    where = keep(plain, monkeypatch, tmp_path / "model")
    found = SimpleNamespace(tags={"data.fingerprint": TrialConfig.from_dict(plain).data.load().fingerprint})
    monkeypatch.setattr(attribute_view, "find_trial", lambda run, tracking_uri: found)
    monkeypatch.setattr(attribute_view, "trial_artifacts", lambda *_, **__: nullcontext(tmp_path / "model"))
    assert attribute_view.generate_changed("x/1", 3, "7", None, None, 0, file, where) == f"wrote {file}"
    with Image.open(file) as read:
        wide, high = 8 * (5 * 9 - 1), 8 * (3 * 9 - 1)
        assert read.size[1] == high + 16, "a line of headings"
        assert 0 < read.size[0] - wide < 30, "a column of labels"
    with pytest.raises(OutputFault, match=r"name a picture with --output FILE\.png"):
        attribute_view.generate_changed("x/1", 3, "7", None, None, 0, None, where)
    with pytest.raises(DecodingFault, match="these examples are images"):
        attribute_view.generate_changed("x/1", 3, "7", None, Greedy(), 0, file, where)
