"""The command line in processes of its own: exit codes, messages, and how fast it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.xdist_group("cli")


def vae_sweeps(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestration", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd or ROOT, env=environment, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished sweep, run through the command line."""
    from tests.conftest import TINY

    home = tmp_path_factory.mktemp("cli") / "home"
    file = home.parent / "tiny.yaml"
    file.write_text(TINY)
    done = vae_sweeps("run", file, "--home", home, "--debug")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny" in done.stdout
    return home


def test_help_and_validate_need_no_heavy_import() -> None:
    """Within a second on an idle machine; here by what is imported, for a busy one cannot be timed."""
    for arguments in (["--help"], ["validate", "sweeps/quickstart.yaml"]):
        code = (
            "import sys; from orchestration.cli import app\n"
            f"try:\n app({arguments!r})\nexcept SystemExit as end:\n assert not end.code, end.code\n"
            "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'pandas', 'numpy', 'sklearn'} & set(sys.modules)\n"
            "assert not heavy, heavy"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["validate", "sweeps/quickstart.yaml"]])
def test_answers_soon(arguments: list[str]) -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert vae_sweeps(*arguments).returncode == 0
        times.append(time.perf_counter() - start)
    assert min(times) < 3.0, times  # a second on an idle machine; the bound leaves room for a busy one


@pytest.mark.parametrize("template", ["text", "image"])
def test_init_writes_what_validates(tmp_path: Path, template: str) -> None:
    file = tmp_path / "mine.yaml"
    assert vae_sweeps("init", file, "--template", template).returncode == 0
    assert vae_sweeps("validate", file).returncode == 0
    again = vae_sweeps("init", file)
    assert again.returncode == 2
    assert "not written over" in again.stderr


def test_every_sweep_file_validates() -> None:
    files = sorted((ROOT / "sweeps").glob("*.yaml"))
    assert {file.stem for file in files} >= {"quickstart", "digits"}
    without_data = [file for file in files if "kind: text_file" not in file.read_text()]
    done = vae_sweeps("validate", *without_data)
    assert done.returncode == 0, done.stderr


def test_sweep_files_on_given_data_validate(data_directory: Path) -> None:
    files = [file for file in sorted((ROOT / "sweeps").glob("*.yaml")) if "kind: text_file" in file.read_text()]
    assert files
    done = vae_sweeps("validate", *files)
    assert done.returncode == 0, done.stderr


def test_schema_is_json() -> None:
    assert json.loads(vae_sweeps("schema").stdout)["properties"]["version"]


def test_a_wrong_file_is_exit_2_without_a_traceback(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("version: 1\nname: x\nmehtod: random\n")
    for command in (["validate", file], ["run", file, "--home", home, "--debug"]):
        done = vae_sweeps(*command)
        assert done.returncode == 2
        assert "wrong.yaml:3:1" in done.stderr
        assert "method" in done.stderr
        assert "Traceback" not in done.stderr
    assert not home.exists(), "nothing is written for a wrong file"


def test_the_name_of_another_sweep(finished: Path, tiny: Path) -> None:
    same = vae_sweeps("run", tiny, "--home", finished, "--debug")
    assert same.returncode == 2
    assert "vae-sweeps resume tiny" in same.stderr
    other = vae_sweeps("run", tiny, "--home", finished, "--debug", "--set", "run_cap=2")
    assert other.returncode == 2
    assert "different sweep file" in other.stderr
    assert "--name" in other.stderr


def test_too_few_examples_for_a_batch(tiny: Path, home: Path) -> None:
    done = vae_sweeps("run", tiny, "--home", home, "--debug", "--set", "trial.training.batch_size=100000")
    assert done.returncode == 2
    assert "batch" in done.stderr
    assert "Traceback" not in done.stderr
    assert not home.exists()


def test_devices_that_are_not_there(tiny: Path, home: Path) -> None:
    for change, word in (("resources.gpu=4000", "resources.gpu"), ("resources.cpu=4000", "resources.cpu")):
        done = vae_sweeps("run", tiny, "--home", home, "--set", change)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr
    assert not home.exists()


def test_list_and_status(finished: Path) -> None:
    assert "tiny" in vae_sweeps("list", "--home", finished).stdout
    status = vae_sweeps("status", "tiny", "--home", finished)
    assert status.returncode == 0
    assert "FINISHED" in status.stdout
    unknown = vae_sweeps("status", "tinny", "--home", finished)
    assert unknown.returncode == 2
    assert "did you mean tiny" in unknown.stderr


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "json"])
def test_report_formats(finished: Path, format: str) -> None:
    done = vae_sweeps("report", "tiny", "--format", format, "--home", finished)
    assert done.returncode == 0
    assert "neg_elbo" in done.stdout


def test_report_to_a_file(finished: Path, tmp_path: Path) -> None:
    import pandas as pd

    file = tmp_path / "trials.parquet"
    assert vae_sweeps("report", "tiny", "--format", "parquet", "--home", finished).returncode == 2
    assert vae_sweeps("report", "tiny", "--format", "parquet", "--output", file, "--home", finished).returncode == 0
    assert len(pd.read_parquet(file)) == 4
    wrong = vae_sweeps("report", "tiny", "--sort", "val/neg_elbos", "--home", finished)
    assert wrong.returncode == 2
    assert "val/neg_elbo" in wrong.stderr


@pytest.mark.parametrize("run", ["tiny", "tiny/0", "tiny/3"])
def test_show(finished: Path, run: str) -> None:
    done = vae_sweeps("show", run, "--home", finished)
    assert done.returncode == 0, done.stderr
    for word in ("data.fingerprint", "objective.beta", "test/iw_nll_se", "samples.png"):
        assert word in done.stdout
    assert vae_sweeps("show", "tiny/99", "--home", finished).returncode == 2


def test_generate_images(finished: Path, tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "samples.png"
    done = vae_sweeps("generate", "tiny", "-n", "6", "--output", file, "--home", finished)
    assert done.returncode == 0, done.stderr
    assert Image.open(file).size[0] > 8
    without = vae_sweeps("generate", "tiny", "--home", finished)
    assert without.returncode == 2
    assert "--output" in without.stderr
    words = vae_sweeps("generate", "tiny", "--decoding", "greedy", "--output", file, "--home", finished)
    assert words.returncode == 2
    assert "these samples are images" in words.stderr


def test_resume_of_a_finished_sweep_changes_nothing(finished: Path) -> None:
    done = vae_sweeps("resume", "tiny", "--home", finished, "--debug")
    assert done.returncode == 0, done.stderr
    assert not list(finished.glob("trials/tiny/spool.rejected.jsonl"))
    unknown = vae_sweeps("resume", "nothing", "--home", finished)
    assert unknown.returncode == 2
    assert "tiny" in unknown.stderr


def test_doctor(finished: Path) -> None:
    done = vae_sweeps("doctor", "--home", finished)
    assert done.returncode == 0, done.stdout
    assert "torch" in done.stdout


def test_no_home_is_said_not_made(tmp_path: Path) -> None:
    for command in (["list"], ["status", "x"], ["report", "x"], ["show", "x/0"]):
        done = vae_sweeps(*command, "--home", tmp_path / "none")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "none").exists()
