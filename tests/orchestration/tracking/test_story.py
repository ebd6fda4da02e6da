"""Which entries of the spool are written as one, and what they amount to."""

from __future__ import annotations

import math
from typing import Any

from orchestration.tracking.config_text import config_text
from orchestration.tracking.mlflow_limits import batches
from orchestration.tracking.story import story_of, together


def entry(op: str, trial: int | None = None, seed: int = 0, **details: Any) -> dict[str, Any]:
    return {"op": op, "sweep": "s", "at": 5, **({} if trial is None else {"trial": trial, "seed": seed}), **details}


def test_a_trials_entries_are_one_up_to_its_end_or_its_next_start() -> None:
    ops = [("open", None), ("started", 0), ("started", 1), ("epoch", 0), ("epoch", 1), ("ended", 0), ("ended", 0), ("note", None)]
    ops += [("epoch", 1), ("started", 1), ("epoch", 1), ("closed", None)]
    groups = together([entry(op, trial) for op, trial in ops])
    assert groups == [[0], [1, 3, 5], [2, 4], [6], [7], [8], [9, 10], [11]]


def test_another_seed_is_another_trial_and_comes_in_its_place() -> None:
    groups = together([entry("epoch", 0, 1), entry("started", 0, 2), entry("epoch", 0, 2), entry("epoch", 0, 1)])
    assert groups == [[0], [1, 2], [3]]


def test_what_no_curve_can_show_is_a_tag() -> None:
    epochs = [entry("epoch", 0, epoch=at, metrics={"loss": value}) for at, value in ((1, 2.0), (2, math.inf), (3, math.nan))]
    story = story_of(epochs)
    assert [(point.name, point.value, point.timestamp_ms, point.epoch) for point in story.points] == [("loss", 2.0, 5, 1)]
    assert story.tags == {"nonfinite.loss": "nan at epoch 3"}


def test_no_request_is_larger_than_the_limits() -> None:
    sent = list(batches(list(range(120)), list(range(1700)), list(range(30))))
    assert [(len(params), len(metrics), len(tags)) for params, metrics, tags in sent] == [
        (100, 800, 0),
        (20, 800, 0),
        (0, 100, 30),
    ], "how a trial ended comes with the last of what it measured"
    assert [tags for _, _, tags in batches([], [], list(range(130)))] == [list(range(100)), list(range(100, 130))]
    assert not list(batches([], [], []))


def test_a_config_is_read_as_it_was_written() -> None:
    from ruamel.yaml import YAML

    texts = ["1e-3", "yes", "null", "0o17", "", "é: x", ".5", "a\nb", "~", "-", "nan", "True", "12:30", "plain"]
    flat = {"a.texts": texts, "a.b.lr": 1e-5, "a.b.big": 1e16, "a.none": None, "flag": True, "many": [1e-7, 3]}
    read = YAML(typ="safe", pure=True).load(config_text(flat))
    assert read == {
        "a": {"texts": texts, "b": {"lr": 1e-5, "big": 1e16}, "none": None},
        "flag": True,
        "many": [1e-7, 3],
    }
