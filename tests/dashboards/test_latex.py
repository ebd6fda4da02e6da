"""The LaTeX table: what is bold, what its caption says, and that LaTeX takes it, whatever was written."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dashboards import load_sweeps, load_trials
from dashboards.latex import escape, render_latex
from tests.dashboards.conftest import Writer
from tests.dashboards.test_analysis import sweep_row, trials_of
from tests.dashboards.test_reports import HOSTILE, hostile


def test_the_table(softmax: Writer) -> None:
    text = render_latex(load_trials("softmax", home=softmax.home), load_sweeps(home=softmax.home).iloc[0])
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert body[0].startswith(r"trial & beta & softmax & samples & lr & $-$ELBO (val) & ")
    assert len(body) == 3, "the two ranked ones"
    assert body[1].startswith(r"2 & 1 & sampled & 1024 & 0.001 & \textbf{87.12} & ")
    assert re.search(r"\\textbf\{86\.12\} \$\\pm\$ 0\.25", body[1])
    [caption] = [line for line in text.splitlines() if line.startswith(r"\caption")]
    for told in (
        "Which softmax?",
        "K = 50, 500 test examples",
        r"$\pm$ one standard error",
        "seed 0, 3 epochs",
        "nats an example",
    ):
        assert told in caption


def test_the_best_of_each_column_is_bold() -> None:
    trials = trials_of([2.0, 1.0], objective__beta=[0.1, 0.2])
    trials["test/neg_elbo"] = [5.0, 6.0]
    rows = [line for line in render_latex(trials, sweep_row()).splitlines() if line.endswith(r"\\")][1:]
    assert [re.findall(r"\\textbf\{([^}]*)\}", row) for row in rows] == [["1.00"], ["5.00"]]


def test_what_is_special_to_latex_is_set_as_it_is() -> None:
    assert escape(r"a_b & 50% of $x$ {\dangerous} #1 ~ ^") == (
        r"a\_b \& 50\% of \$x\$ \{\textbackslash{}dangerous\} \#1 \textasciitilde{} \textasciicircum{}"
    )


@pytest.mark.slow
def test_latex_takes_it(tmp_path: Path) -> None:
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("pdflatex is absent: apt-get install texlive-latex-base texlive-latex-recommended")
    (tmp_path / "table.tex").write_text(render_latex(*hostile()).replace("\ufffd", "?"))
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{table}\end{document}"
    )
    command = [pdflatex, "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").exists()
    assert HOSTILE.split("|")[0] in (tmp_path / "table.tex").read_text()
