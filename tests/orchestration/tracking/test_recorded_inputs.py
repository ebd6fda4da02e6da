"""Data, pictures and the view of a sweep are in MLflow once, however often they are said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestration.pictures import keep_pictures
from orchestration.tracking.datasets import dataset_inputs
from orchestration.tracking.spool import rejected_path
from orchestration.tracking.view import view_tag
from tests.orchestration.tracking.recording import CONFIG, client, header, opened, runs, spool_of
from vae_core.config import TrialConfig
from vae_core.data.describe import describe

TEXT = {
    "data": {"kind": "text_file", "vocabulary": {"min_count": 1}},
    "model": {"encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}},
}


def test_what_is_said_again_is_there_once(store: Path, tmp_path: Path) -> None:
    data = CONFIG.data.load()
    said = {"data.fingerprint": data.fingerprint, "dataset": json.dumps(describe(data, CONFIG.data))}
    folders = [
        keep_pictures({"samples": np.zeros((8, 8), np.float32)}, tmp_path, "t", epoch, now_ms=epoch, scale=1) for epoch in (1, 3)
    ]
    for _ in range(2):  # a second attempt tells the whole story again
        tracker = opened(store, "again")
        for _ in range(2):
            tracker.trial_started(0, CONFIG.flat(), CONFIG.fingerprint(), CONFIG.seed, said)
            for folder in folders:
                tracker.pictures(0, str(folder))
        assert tracker.close(timeout=120.0) == 0
        assert tracker.rejected == 0
    (run,) = runs(store, "again")
    assert run.data.tags["mlflow.loggedImages"] == "True"
    assert "dataset" not in run.data.tags
    names = sorted(file.path for file in client(store).list_artifacts(run.info.run_id, "images"))
    assert names == sorted(f"images/{path.name}" for folder in folders for path in folder.iterdir())
    assert len(names) == 4
    inputs = {tags_of(one)["mlflow.data.context"]: one.dataset for one in run.inputs.dataset_inputs}
    assert {context: one.name for context, one in inputs.items()} == {
        "training": "digits train",
        "validation": "digits valid",
        "test": "digits test",
    }
    assert {one.digest for one in inputs.values()} == {data.fingerprint}
    assert json.loads(inputs["test"].profile)["num_rows"] == len(data.splits["test"])
    shape = json.loads(json.loads(inputs["test"].schema)["mlflow_tensorspec"]["features"])[0]["tensor-spec"]["shape"]
    assert shape == [-1, 8, 8]
    assert inputs["test"].source_type == "code"


def test_text_names_the_files_that_it_came_from(store: Path, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a b c\nc d e\n" * 20)
    (tmp_path / "test.txt").write_text("a b\n")
    files = {name: str(tmp_path / f"{name}.txt") for name in ("train", "test")}
    config = TrialConfig.from_dict({**TEXT, "data": {**TEXT["data"], **files}})
    data = config.data.load()
    tracker = opened(store, "text")
    tracker.trial_started(0, config.flat(), "f", 0, {"dataset": json.dumps(describe(data, config.data))})
    assert tracker.close(timeout=120.0) == 0
    (run,) = runs(store, "text")
    found = {one.dataset.name.rpartition(" ")[2]: one.dataset for one in run.inputs.dataset_inputs}
    assert {split: json.loads(one.source)["uri"] for split, one in found.items()} == {**files, "valid": files["train"]}
    assert json.loads(found["test"].profile) == {"num_rows": 1, "num_examples": 1, "num_tokens": 2, "vocabulary": 9}
    assert json.loads(found["test"].schema) == {"mlflow_colspec": [{"type": "string", "name": "text", "required": True}]}


def test_pictures_that_are_gone_are_told_and_hold_nothing_up(store: Path, tmp_path: Path) -> None:
    tracker = opened(store, "gone")
    tracker.trial_started(0, {}, "f", 0, {})
    tracker.pictures(0, str(tmp_path / "never"))
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close(timeout=120.0) == 0
    assert tracker.rejected == 1
    assert "are gone" in rejected_path(spool_of(store, "gone")).read_text()
    assert [run.info.status for run in runs(store, "gone")] == ["FINISHED"]


def test_the_view_of_a_sweep_names_its_columns(store: Path) -> None:
    tracker = opened(store, "viewed")
    assert tracker.close(timeout=120.0) == 0
    kept = json.loads(client(store).get_experiment_by_name("vae-sweeps").tags["mlflow.sharedViewState.viewed"])
    view = json.loads(kept["state"])
    assert kept["name"] == "viewed"
    assert view.items() <= kept.items(), "an older UI reads it there"
    assert view["searchFilter"] == "tags.kind = 'trial' and tags.sweep = 'viewed'"
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`best/val/neg_elbo`", True)
    assert view["selectedColumns"][1] == "metrics.`best/val/neg_elbo`"
    assert "params.`objective.beta`" in view["selectedColumns"]


@pytest.mark.parametrize("parameters", [3, 300])
def test_a_view_fits_into_its_tag(parameters: int) -> None:
    tags = {**header("many").tags(), "parameters": json.dumps([f"model.decoder.parameter{n}" for n in range(parameters)])}
    _, value = view_tag("many", tags, 0)
    assert len(value) <= 5000
    assert len(json.loads(value)["selectedColumns"]) >= 6 + min(parameters, 20)


def tags_of(one: Any) -> dict[str, str]:
    return {tag.key: tag.value for tag in one.tags}


def test_data_by_address_have_that_as_their_source() -> None:
    said = {"name": "d", "digest": "1", "kind": "text_file", "modality": "text"}
    (one,) = dataset_inputs({**said, "splits": {"train": {"examples": 1, "source": "https://host/a.txt"}}})
    assert (one.dataset.source_type, json.loads(one.dataset.source)) == ("http", {"url": "https://host/a.txt"})
