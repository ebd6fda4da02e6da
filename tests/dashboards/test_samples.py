"""Samples and diagnoses are read as trials keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dashboards import UnknownRun, load_samples, load_trials
from dashboards.diagnosis import load_kl
from tests.dashboards.conftest import Writer

SAMPLES = "A title.\n\nlabel   news\ngreedy  the cat\ndrawn   a dog , it said\n\ngreedy  output of it\ndrawn   \n"
TRAVERSALS = "A title.\n\nz[4], the others at 0\n-3  label the sea\n+3  input\n"


@pytest.fixture
def kept(softmax: Writer, tmp_path: Path) -> Writer:
    """Trial 2 of ``softmax`` keeps text, trial 0 a picture and a diagnosis."""
    from PIL import Image

    runs = load_trials("softmax", home=softmax.home).set_index("trial")["run_id"]
    files = {"samples.txt": SAMPLES, "traversals.txt": TRAVERSALS}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        softmax.client.log_artifact(runs[2], str(tmp_path / name), "samples")
    Image.fromarray(np.arange(12, dtype="uint8").reshape(3, 4)).save(tmp_path / "reconstructions.png")
    softmax.client.log_artifact(runs[0], str(tmp_path / "reconstructions.png"), "samples")
    (tmp_path / "kl.csv").write_text("part,kl\n1,2.5\n0,0.001\n")
    softmax.client.log_artifact(runs[0], str(tmp_path / "kl.csv"), "diagnosis")
    return softmax


def test_a_row_a_sentence(kept: Writer) -> None:
    table = load_samples("softmax", trials=[2], kinds=["samples", "traversals"], home=kept.home)
    assert table[["kind", "part", "index", "text"]].values.tolist() == [
        ["samples", "greedy", 0, "the cat"],
        ["samples", "drawn", 0, "a dog , it said"],
        ["samples", "greedy", 1, "output of it"],
        ["samples", "drawn", 1, ""],
        ["traversals", "", 0, "z[4], the others at 0"],
        ["traversals", "", 0, "-3  label the sea"],
        ["traversals", "", 0, "+3  input"],
    ]
    assert table["label"].iloc[0] == "news"
    assert table["label"].iloc[2:].isna().all()
    assert set(table["epoch"]) == {2}
    assert table["text"].dtype == "str"


def test_a_picture_is_an_array(kept: Writer) -> None:
    table = load_samples("softmax", home=kept.home)
    assert list(table["trial"]) == [0, 2, 2, 2, 2]
    np.testing.assert_array_equal(table["image"].iloc[0], np.arange(12).reshape(3, 4))
    assert table["text"].isna().tolist() == [True, False, False, False, False]


def test_what_is_not_there_is_said(kept: Writer) -> None:
    with pytest.raises(UnknownRun, match="has no trial 99"):
        load_samples("softmax", trials=[99], home=kept.home)
    with pytest.raises(ValueError, match="no kind 'sample': there are samples, "):
        load_samples("softmax", kinds=["sample"], home=kept.home)
    assert load_samples("softmax", trials=[1], home=kept.home).empty


def test_the_rate_by_part(kept: Writer) -> None:
    runs = load_trials("softmax", home=kept.home).set_index("trial")["run_id"]
    table = load_kl({0: runs[0], 2: runs[2]}, home=kept.home)
    assert table.values.tolist() == [[0, "1", 2.5], [0, "0", 0.001]]
