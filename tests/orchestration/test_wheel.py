"""A wheel built from the tree works outside it: the templates and the schema travel with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_the_wheel_works_outside_the_tree(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "vae-sweeps-home", "__pycache__")
    )
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source], check=True, capture_output=True, timeout=300
    )
    [wheel] = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    assert {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")} == {
        "vae_core",
        "orchestration",
        "dashboards",
    }
    # Its own code first on the path, the libraries from this environment, the tree nowhere.
    code = (
        "import sys\n"
        f"sys.path[:] = [{str(unpacked)!r}] + [path for path in sys.path if path not in ('', {str(ROOT)!r})]\n"
        "import orchestration\n"
        f"assert orchestration.__file__.startswith({str(unpacked)!r}), orchestration.__file__\n"
        "from orchestration.cli import main\n"
        "main()"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for arguments in (
        ["init", "mine.yaml"],
        ["validate", "mine.yaml"],
        ["schema"],
        ["run", "mine.yaml", "--debug", "--set", "run_cap=1", "--set", "trial.training.epochs=2"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=elsewhere, timeout=300, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
