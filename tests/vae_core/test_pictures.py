"""Pictures of a training under way: at few epochs, always the same, and training does not notice."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from tests.vae_core.conftest import MakeConfig
from vae_core.data.images import ImageData
from vae_core.pictures import TIMES, picture_epochs, pictures
from vae_core.trainer import Record, Trainer


@pytest.mark.parametrize(
    ("epochs", "expected"), [(1, {1}), (5, {1, 2, 3, 4, 5}), (9, set(range(1, 10))), (18, {1, *range(2, 19, 2)})]
)
def test_pictures_are_few_and_have_the_first_and_the_last_epoch(
    epochs: int, expected: set[int], image_config: MakeConfig
) -> None:
    assert picture_epochs(image_config({"training.epochs": epochs})) == expected
    for many in (10, 37, 1000):
        found = picture_epochs(image_config({"training.epochs": many}))
        assert len(found) == TIMES
        assert {1, many} <= found <= set(range(1, many + 1))


def test_text_and_trials_without_samples_have_none(text_config: MakeConfig, image_config: MakeConfig) -> None:
    assert not picture_epochs(text_config())
    assert not picture_epochs(image_config({"evaluation.samples": 0}))


@pytest.mark.parametrize("changes", [{}, {"data.labels": True, "model.condition": {}, "model.encoder.dropout": 0.2}])
def test_training_goes_on_bitwise_as_if_nobody_had_looked(changes: dict[str, Any], image_config: MakeConfig) -> None:
    config = image_config(changes)
    data = config.data.load()
    assert isinstance(data, ImageData)
    looked, alone = Trainer(config, data), Trainer(config, data)
    records = []
    for record in looked.run():
        made, again = (pictures(looked.model, config, data) for _ in range(2))
        assert set(made) == {"samples", "reconstructions"}
        assert all((made[name] == again[name]).all() for name in made)
        assert made["reconstructions"].shape == (2 * 9 - 1, 8 * 9 - 1)
        assert made["samples"].shape == (8, 4 * 9 - 1) or made["samples"].shape == (8, 8 * 9 - 1)
        records.append(plain(record))
    assert records == [plain(record) for record in alone.run()]


def plain(record: Record) -> dict[str, Any]:
    metrics = {name: value for name, value in record.metrics.items() if not name.endswith("_per_s")}
    return {**asdict(record), "metrics": metrics}
