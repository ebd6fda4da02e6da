"""A home with one sweep of four trials whose words are hostile, and all that a complete trial keeps."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tests.dashboards.conftest import Writer, text_trial
from tests.dashboards.test_reports import HOSTILE

SEARCHED = ["objective.beta", "model.softmax.kind"]
NAME = "demo"
REMOTE = "![picture](http://192.0.2.1/a.png) <img src=http://192.0.2.1/b.png> :material/home: $x^2$ [link](http://192.0.2.1/c)"
"""Markdown, HTML, an icon and TeX, of which each that was not text would ask another machine, or not be there as it is."""


def write_home(writer: Writer) -> dict[int, str]:
    """The run ids of the trials: 1 is best, 0 follows, 2 is pruned, 3 failed; 0 and 1 keep images, codes and a diagnosis."""
    parent = writer.sweep(NAME, SEARCHED, question=f"{HOSTILE} {REMOTE}")
    runs = {}
    for number, (loss, state) in enumerate([(88.5, "COMPLETE"), (87.25, "COMPLETE"), (90.0, "PRUNED"), (0.0, "FAILED")]):
        own = text_trial(loss)
        logged = {"COMPLETE": own, "PRUNED": {"epochs": own["epochs"][:1]}, "FAILED": {}}[state]
        parameters = {"objective.beta": str(0.25 * (number + 1)), "model.softmax.kind": ["full", HOSTILE][number % 2]}
        reason = f"{HOSTILE} {REMOTE}" if state == "FAILED" else ""
        runs[number] = writer.trial(parent, number, parameters, **logged, state=state, reason=reason)
        if state == "COMPLETE":
            keep(writer, runs[number], number)
    other = writer.sweep("other", SEARCHED)
    writer.trial(other, 0, {"objective.beta": "1", "model.softmax.kind": "full"}, **text_trial(80.0))
    return runs


def keep(writer: Writer, run_id: str, number: int) -> None:
    """Texts, and of trial 1 pictures; codes of 12 examples."""
    client = writer.client
    text = f"Codes from the prior.\n\ngreedy  one {HOSTILE}\ndrawn   two {REMOTE}\n\ngreedy  three\ndrawn   four\n"
    client.log_text(run_id, text, "samples/interpolations.txt" if number else "samples/samples.txt")
    client.log_text(run_id, "part,kl\n1,2.5\n0,0.5\n", "diagnosis/kl.csv")
    client.log_text(run_id, f"sample,copied,distance,nearest\na b,0,3,{HOSTILE.replace(',', '')[:20]}\n", "diagnosis/samples.csv")
    draw = np.random.default_rng(number)
    codes = draw.normal(size=(12, 2)).astype("float32")
    arrays = {"index": np.arange(12) * 3, "means": codes, "codes": codes, "rate": draw.uniform(1, 2, 12)}
    if number:
        images = draw.integers(0, 255, (12, 4, 4), dtype=np.uint8)
        arrays |= {"inputs": images, "outputs": images, "labels": np.arange(12) % 2, "names": np.array(["no", HOSTILE])}
        grid = np.full((4 * 16 + 3, 8 * 5 - 1), 255, np.uint8)[: 2 * 5 - 1].repeat(16, 0).repeat(16, 1)
        for place in range(10):
            row, column = divmod(place, 8)
            grid[row * 80 : row * 80 + 64, column * 80 : column * 80 + 64] = 10 * place
        picture = io.BytesIO()
        Image.fromarray(grid).save(picture, "PNG")
        log_bytes(writer, run_id, "samples/samples.png", picture.getvalue())
    else:
        texts = np.array([f"text {place} {HOSTILE}" for place in range(12)])
        arrays |= {"inputs": texts, "outputs": texts}
    held = io.BytesIO()
    np.savez_compressed(held, allow_pickle=False, **arrays)
    log_bytes(writer, run_id, "latent/codes.npz", held.getvalue())


def log_bytes(writer: Writer, run_id: str, path: str, content: bytes) -> None:
    """Writes an artifact."""
    local = Path(writer.home, "scratch", path)
    local.parent.mkdir(parents=True, exist_ok=True)
    local.write_bytes(content)
    writer.client.log_artifact(run_id, str(local), path.rpartition("/")[0])
