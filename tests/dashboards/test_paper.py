"""The figures for print draw the tables, whatever was written, in colours that are told apart."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboards.figures.style import COLORS, MUTED, STATES, bulk, with_unit
from dashboards.page.figures import DRAWN
from dashboards.page.shown import shown
from dashboards.paper.write import drawn_by, write_figures
from tests.dashboards.test_page import recorded  # noqa: F401 - a fixture

Record = tuple[pd.DataFrame, "pd.Series[Any]", pd.DataFrame]


def test_each_kind_is_drawn_and_saved_twice(recorded: Record, tmp_path: Path) -> None:  # noqa: F811
    trials, sweep, curves = recorded
    kl = pd.DataFrame({"trial": [0, 0, 1], "part": ["0", "1", "all"], "kl": [1.0, 0.0, 2.0]})
    every = list(shown(trials, sweep, curves, kl))
    assert {one.kind for one in every} <= set(DRAWN)
    files = write_figures(every, tmp_path / "figures")
    kinds = [one.kind for one in every if one.kind in drawn_by()]
    assert len(files) == 2 * len(kinds) >= 18
    for file in files:
        head = file.read_bytes()[:200]
        assert head.startswith(b"%PDF") if file.suffix == ".pdf" else b"<?xml" in head
    plane = (tmp_path / "figures" / "rate_distortion.svg").read_text()
    assert "rate: KL, nats an example" in plane, "type that stays text"
    assert "mathdefault" not in (tmp_path / "figures" / "speed_against_exactness.svg").read_text(), "ticks are plain numbers"
    schedules = (tmp_path / "figures" / "by_schedule.svg").read_text()
    assert "<script>alert" not in schedules
    again = write_figures(every[:1], tmp_path / "again")
    assert again[1].read_bytes() == (tmp_path / "figures" / again[1].name).read_bytes(), "the same data, the same bytes"


def test_the_axes_hold_the_data(recorded: Record) -> None:  # noqa: F811
    trials, sweep, curves = recorded
    by = {one.kind: one for one in shown(trials, sweep, curves)}
    axes = drawn_by()["rate_distortion"](*by["rate_distortion"].arguments).axes[0]
    points = next(line for line in axes.lines if line.get_label() == "complete")
    assert sorted(points.get_xdata()) == pytest.approx(sorted(trials["best/val/rate"]))
    axes = drawn_by()["progress"](*by["progress"].arguments).axes[0]
    assert list(axes.lines[1].get_ydata()) == pytest.approx(list(trials["best/val/neg_elbo"].cummin()))


def _luminance(color: str) -> float:
    """WCAG 2.1's relative luminance."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


_SEEN = {  # Machado et al. (2009), severity 1: what a person with the deficiency sees, in linear RGB
    "nobody": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}


def _lab(color: str, seen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    parts = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(seen @ linear, 0, 1)
    scaled = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("who", _SEEN)
def test_colours_are_told_apart(who: str) -> None:
    """A difference of 10 in CIELAB is one at a glance; the first five colours are those that most figures have."""
    labs = [_lab(color, _SEEN[who]) for color in COLORS[:5]]
    for place, one in enumerate(labs):
        for other in labs[place + 1 :]:
            assert np.linalg.norm(one - other) > 10


def test_states_have_a_shape_and_a_contrast_of_their_own() -> None:
    assert len({shape for _, shape in STATES.values()}) == len(STATES)
    for color in (MUTED, COLORS[0], COLORS[1], COLORS[2]):
        assert 1.05 / (_luminance(color) + 0.05) >= 3.0, f"{color} on white"


def test_units_and_limits() -> None:
    assert with_unit("best/val/neg_elbo") == "best/val/neg_elbo, nats an example"
    assert with_unit("val/active_units") == "val/active_units"
    nothing = pd.Series(dtype="float64")
    assert bulk(pd.Series([1.0, 2.0, 3.0]), nothing, "minimize") is None
    far = pd.Series([*np.linspace(20, 24, 200), 900.0])
    limits = bulk(far, nothing, "minimize")
    assert limits is not None
    assert limits[1] < 40
    assert bulk(far, nothing, "maximize") is None, "900 is the winner"
    assert bulk(-far, nothing, "minimize") is None
    assert bulk(-far, nothing, "maximize") == pytest.approx((-limits[1], -limits[0]))
    assert bulk(far, pd.Series([900.0]), "minimize") is None, "what is looked at is not cut off"


def test_names_that_are_cut_to_the_same_are_apart() -> None:
    long = [f"a name that is longer than there is room for, the {place}" for place in range(3)]
    table = pd.DataFrame({"parameter": "kind", "level": [*long, long[0]], "number": np.nan, "score": [1.0, 2.0, 3.0, 4.0]})
    axes = drawn_by()["slices"](table, "best/val/neg_elbo").axes[0]
    assert list(axes.lines[0].get_xdata()) == [0, 1, 2, 0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"{long[0][:13]}…"] * 3
    effects = pd.DataFrame({"level": long, "mean": [1.0, 2.0, 3.0], "low": 0.5, "high": 3.5, "best": 0.7})
    assert list(drawn_by()["effect"](effects, "kind", "m").axes[0].lines[-1].get_xdata()) == [0, 1, 2]
    bars = pd.DataFrame({"parameter": long, "importance": [0.5, 0.3, 0.2]})
    assert len({bar.get_y() for bar in drawn_by()["importance"](bars, "m").axes[0].patches}) == 3
    schedules = pd.DataFrame({"schedule": long, "collapsed": 0.0, "trials": 2, "rate": 1.0, "active_units": 3.0})
    assert len({bar.get_x() for bar in drawn_by()["by_schedule"](schedules).axes[0].patches}) == 3


@pytest.mark.slow
def test_latex_takes_the_figures(recorded: Record, tmp_path: Path) -> None:  # noqa: F811
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("pdflatex is absent: apt-get install texlive-latex-base texlive-latex-recommended")
    files = [file for file in write_figures(shown(*recorded), tmp_path) if file.suffix == ".pdf"]
    body = "\n".join(rf"\includegraphics[width=\columnwidth]{{{file.stem}}}" for file in files)
    text = rf"\documentclass[twocolumn]{{article}}\usepackage{{graphicx}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "paper.tex").write_text(text)
    command = [pdflatex, "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert len(set(re.findall(r"<(?:use |\./)?(\w+)\.pdf", done.stdout.replace("\n", "")))) == len(files)
