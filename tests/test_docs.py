"""README and docs say what is true: names are there, commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.cli import app
from orchestration.spec.sections import SweepSpec
from tests.conftest import ROOT, TINY
from vae_core.metrics import METRICS

README = (ROOT / "README.md").read_text()


def test_every_metric_is_explained() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    assert [metric.name for metric in METRICS if f"`{metric.name}`" not in text] == []


def test_every_key_of_the_sweep_file_is_explained() -> None:
    text = (ROOT / "docs" / "sweep-file.md").read_text()
    assert [key for key in SweepSpec.model_fields if not re.search(rf"`{key}[`.]", text)] == []


def test_every_command_is_named() -> None:
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert len(names) >= 12
    assert [name for name in names if not re.search(rf"vae-sweeps {name}\b|`{name}`", README)] == []


def test_links_lead_somewhere() -> None:
    for file in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", file.read_text()):
            assert (file.parent / target).exists(), f"{file}: {target}"


def test_the_first_command_stands_within_25_lines() -> None:
    assert "make demo" in "\n".join(README.splitlines()[:25])
    assert len(README.splitlines()) <= 150


@pytest.mark.slow
def test_the_commands_of_the_readme(tmp_path: Path) -> None:
    """Every ``vae-sweeps`` line of "Your own sweep", in order, on a sweep cut short."""
    block = re.search(r"## Your own sweep\s+```bash\n(.*?)```", README, re.DOTALL)
    assert block
    commands = [line.split("#")[0].split() for line in block[1].splitlines() if line.startswith("vae-sweeps")]
    assert len(commands) >= 7
    for words in commands:
        if words[1] == "ui":  # serves until it is told to end: test_ui has it
            continue
        extra = ["--debug", "--set", "run_cap=2", "--set", "trial.training.epochs=2"] if words[1] == "run" else []
        arguments = [*words[1:], *extra]
        done = subprocess.run(
            [sys.executable, "-m", "orchestration", *arguments],
            capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)


@pytest.mark.slow
def test_the_python_of_the_readme(tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block
    (tmp_path / "mine.yaml").write_text(TINY.replace("name: tiny", "name: mine").replace("run_cap: 4", "run_cap: 2"))
    code = f"{block[1]}\nassert len(trials) == 2 and set(curves['trial']) == {{0, 1}}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_first_command_of_the_readme(tmp_path: Path) -> None:
    """``make demo`` with what is installed already: the sweep itself, to its report."""
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("make has not installed .venv here: run by `make test`")
    environment = {**os.environ, "VAE_SWEEPS_HOME": str(tmp_path / "home")}
    done = subprocess.run(["make", "demo"], capture_output=True, text=True, cwd=ROOT, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 trials" in done.stdout


def test_the_yaml_of_the_readme_validates(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert block
    (tmp_path / "corpus.txt").write_text("one sentence a line\n" * 500)
    (tmp_path / "mine.yaml").write_text(block[1])
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", "validate", "mine.yaml"],
        capture_output=True, text=True, cwd=tmp_path, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
