"""A Ray cluster of real processes, guarded by a token: sweeps are sent to it, attached to it, and refused by it in words."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from orchestration import run_sweep
from orchestration.cluster import look
from tests.conftest import TINY, comparable
from tests.faults.sweeps import command
from tests.orchestration.heads import UP_S, Running, free_ports, started, wait_for

pytestmark = pytest.mark.xdist_group("ray")


@pytest.mark.long
def test_a_submitted_sweep_is_the_debug_runs(cluster: Running, tiny: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    to = ("--address", cluster.dashboard, "--home", home)
    changes = ("--set", "trial.training.epochs=4")
    code, said = cluster("submit", tiny, *to, *changes)
    assert code == 0, said
    job = json.loads((home / "jobs" / "tiny.json").read_text())
    assert f"submitted as {job['id']} to {cluster.dashboard}" in said
    code, said = cluster("submit", tiny, *to)
    assert code == 2, said
    assert "'tiny'" in said
    assert "--name" in said

    deadline = time.monotonic() + 120
    while "SUCCEEDED" not in (standing := cluster("status", "tiny", "--home", home)[1]):
        assert time.monotonic() < deadline, standing
        assert "FAILED" not in standing, cluster("logs", "tiny", "--home", home, "--job")[1]
        time.sleep(1.0)
    assert "tiny: FINISHED" in standing
    code, said = cluster("logs", "tiny", "--home", home, "--job")
    assert code == 0, said
    assert "[4/4] trial 3 COMPLETE" in said
    run_sweep(tiny, home=tmp_path / "debug", overrides=["trial.training.epochs=4"], debug=True)
    pd.testing.assert_frame_equal(comparable("tiny", home), comparable("tiny", tmp_path / "debug"), check_exact=True)

    code, said = cluster("resume", "tiny", "--home", home, "--run-cap", "5", "--address", cluster.address)
    assert code == 0, said
    assert list(comparable("tiny", home)["state"]) == ["COMPLETE"] * 5
    assert cluster("submit", tiny, *to)[0] == 2, "the name is taken by a sweep that has ended"


@pytest.mark.long
def test_shares_of_a_gpu_pack_trials(cluster: Running, tmp_path: Path) -> None:
    text = TINY.replace("epochs: 3", "epochs: 240").replace("run_cap: 4", "run_cap: 7")  # longer than a worker takes to begin
    (tmp_path / "tiny.yaml").write_text(text[: text.index("resources:")] + "resources: {cpu: 1, gpu: 0.25}\n")
    home = tmp_path / "home"
    code, said = cluster("run", tmp_path / "tiny.yaml", "--home", home, "--address", cluster.address)
    assert code == 0, said
    assert list(comparable("tiny", home)["state"]) == ["COMPLETE"] * 7
    assert most_at_once(home / "mlflow.db") == 4, "eight cores would hold seven"
    import torch

    assert ("torch sees none" in said) != torch.cuda.is_available()


def most_at_once(database: Path) -> int:
    """Of the trials, by their first and last word in the record."""
    query = "SELECT min(timestamp), max(timestamp) FROM metrics WHERE key = 'val/neg_elbo' GROUP BY run_uuid"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        spans = connection.execute(query).fetchall()
    return max(sum(first <= start <= last for first, last in spans) for start, _ in spans)


@pytest.mark.long
def test_a_machine_that_does_not_see_the_files(cluster: Running, tmp_path: Path) -> None:
    """A second machine, in a name space of its own, in which a directory is another."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    isolated = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {hidden}"]
    if shutil.which("unshare") is None or subprocess.run(isolated, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount in a name space of its own")
    words = hidden / "words.txt"
    words.write_text("one two three four five\n" * 200)
    data = f"{{kind: text_file, train: {words}, valid: {words}, test: {words}}}"
    searched = TINY.replace("data: {kind: digits}", f"data: {data}").replace(
        "{kind: mlp, hidden: [32]}", "{kind: lstm, hidden: 8}"
    )
    searched = searched.replace("parameters:\n", "parameters:\n  data.max_length: {values: [8, 9]}\n")
    (tmp_path / "words.yaml").write_text(searched)
    (tmp_path / "tiny.yaml").write_text(TINY)

    log = tmp_path / "node.log"
    order = f"mount -t tmpfs none {hidden} && exec ray start --block --num-cpus=1 --address={cluster.address}"
    script = tmp_path / "node.sh"
    script.write_text(f"{order} --dashboard-agent-listen-port={free_ports(1)[0]}\n")
    with started(f"unshare -m sh {script}", cluster.environment, log):
        wait_for_machines(cluster, 2)
        code, said = cluster("run", tmp_path / "tiny.yaml", "--home", hidden / "home", "--address", cluster.address)
        assert code == 2, said
        assert f"does not see it: {hidden}/home/trials/tiny" in said
        assert not (hidden / "home" / "optuna.db").exists(), "the name is still free"
        code, said = cluster("run", tmp_path / "words.yaml", "--home", tmp_path / "home", "--address", cluster.address)
        assert code == 2, said
        assert f"has no {words}" in said


def wait_for_machines(cluster: Running, number: int) -> None:
    code = f"import ray; ray.init({cluster.address!r}, logging_level='ERROR'); print(sum(n['Alive'] for n in ray.nodes()))"
    deadline = time.monotonic() + UP_S
    while time.monotonic() < deadline:
        done = subprocess.run([sys.executable, "-c", code], env=cluster.environment, capture_output=True, text=True, check=False)
        if done.stdout.strip().endswith(str(number)):
            return
        time.sleep(1.0)
    raise AssertionError(done.stdout + done.stderr)


@pytest.mark.long
def test_who_has_no_token_is_told(cluster: Running, tiny: Path, home: Path) -> None:
    for mode, token, word in (("disabled", {}, "asks for a token"), ("token", {"RAY_AUTH_TOKEN": "wrong"}, "refuses this token")):
        environment = {**cluster.environment, "RAY_AUTH_MODE": mode, **token}
        code, said = cluster("submit", tiny, "--address", cluster.dashboard, "--home", home, environment=environment)
        assert code == 2
        assert word in said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("order", "address", "word"),
    [
        ("submit", "http://127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("submit", "127.0.0.1:8265", "such as http://HEAD:8265"),
        ("submit", "http://127.0.0.1:99999", "such as http://HEAD:8265"),
        ("submit", "file:///etc/passwd", "such as http://HEAD:8265"),
        ("run", "127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
        ("run", "nowhere", "wanted is HOST:PORT"),
        ("run", "ray://127.0.0.1:10001", "vae-sweeps submit"),
    ],
)
def test_an_address_where_no_cluster_is(tiny: Path, home: Path, order: str, address: str, word: str) -> None:
    code, said = command(order, tiny, "--address", address, "--home", home)
    assert code == 2, said
    assert word in said
    assert "Traceback" not in said
    assert not (home / "optuna.db").exists()


def test_something_else_that_listens(tiny: Path, home: Path) -> None:
    """A web server that is no dashboard."""
    port = free_ports(1)[0]
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], stderr=subprocess.DEVNULL, cwd=tiny.parent
    ) as server:
        try:
            wait_for(port, tiny)
            code, said = command("submit", tiny, "--address", f"http://127.0.0.1:{port}", "--home", home)
        finally:
            server.terminate()
    assert code == 2, said
    assert "no dashboard of a Ray cluster" in said


def test_what_a_machine_sees(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    (tmp_path / "data").write_text("some")
    one = look(str(tmp_path), "mark", [str(tmp_path / "data"), str(tmp_path / "missing")])
    assert one.directory == ""
    assert one.files[str(tmp_path / "missing")] == ""
    (tmp_path / "data").write_text("same")
    other = look(str(tmp_path), "other", [str(tmp_path / "data")])
    assert other.directory == "does not see it"
    assert other.files[str(tmp_path / "data")] != one.files[str(tmp_path / "data")]
