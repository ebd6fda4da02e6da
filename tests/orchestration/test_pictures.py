"""An epoch's pictures have one name for ever: a trial that is killed and gone on with has none twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from orchestration.messages import Job, Message
from orchestration.pictures import keep_pictures
from orchestration.worker import run_trial
from vae_core.config import TrialConfig

CONFIG = TrialConfig.from_dict(
    {
        "data": {"kind": "digits"},
        "model": {"encoder": {"kind": "mlp", "hidden": [8]}, "decoder": {"kind": "mlp", "hidden": [8]}},
        "training": {"epochs": 4},
        "evaluation": {"importance_samples": 1, "importance_examples": 5, "samples": 4},
    }
)


def test_an_epoch_that_is_drawn_again_keeps_its_names(tmp_path: Path) -> None:
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    first = keep_pictures({"samples": image}, tmp_path, "a", 12, now_ms=5, scale=2)
    names = sorted(path.name for path in first.iterdir())
    assert [name.split("+")[:5] for name in names] == [["samples", "step", "12", "timestamp", "5"]] * 2
    assert {name.rpartition(".")[2] for name in names} == {"png", "webp"}
    assert keep_pictures({"samples": 1 - image}, tmp_path, "a", 12, now_ms=99, scale=2) == first
    assert sorted(path.name for path in first.iterdir()) == names
    with Image.open(first / names[1]) as png, Image.open(first / names[0]) as webp:
        assert png.size == webp.size == (16, 16)
        assert png.getpixel((0, 0)) == 255
        assert webp.convert("L").getpixel((0, 0)) == 255


def test_a_killed_trial_that_goes_on_has_each_epoch_once(tmp_path: Path) -> None:
    data = CONFIG.data.load()
    job = Job(0, CONFIG.to_dict(), str(tmp_path))
    before: list[Message] = []
    for message in run_trial(job, data):
        before.append(message)
        if message.epoch == 3:
            break
    (tmp_path / "state.previous.pt").replace(tmp_path / "state.pt")  # as if killed when epoch 3 was drawn, and not yet kept
    kept = contents(tmp_path)
    after = list(run_trial(job, data))
    told = [message for message in after if message.kind == "epoch"]
    assert [Path(message.pictures).name for message in told] == [f"{epoch:06d}" for epoch in (1, 2, 3, 4)]
    assert [message.pictures for message in before if message.kind == "epoch"] == [one.pictures for one in told[:3]]
    now = contents(tmp_path)
    assert kept.items() <= now.items(), "the same names, and the same pictures"
    assert Counter(name.split("+")[0] for name in now if name.endswith(".png")) == {"samples": 4, "reconstructions": 4}
    assert not any(message.pictures for message in after if message.kind != "epoch")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "pictures").rglob("*+*")}
