"""A machine of the cluster goes away while trials run on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration import run_sweep
from tests.conftest import ROOT, TINY, comparable
from tests.faults.sweeps import assert_same

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SWEEP = TINY.replace("epochs: 3", "epochs: 40").replace("max_concurrent_trials: 1", "max_concurrent_trials: 2")
DRIVE = """\
import sys, threading, time
from pathlib import Path
from orchestration.environment import prepare_ray
prepare_ray()
import ray
from ray.cluster_utils import Cluster

sweep, home = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
ray.init(address=cluster.address, log_to_driver=False)

def blow():
    from tests.faults.sweeps import heard
    while sum(heard(Path(home)).values()) < 30:
        time.sleep(0.05)
    print("heard at the blow:", heard(Path(home)), flush=True)
    cluster.remove_node(nodes[0], allow_graceful=False)
    print("nodes alive:", sum(node["Alive"] for node in ray.nodes()), flush=True)

threading.Thread(target=blow, daemon=True).start()
from orchestration import run_sweep
result = run_sweep(sweep, home=home)
print("ended:", result.state, [view.state for view in result.trials], [view.reason for view in result.trials], flush=True)
ray.shutdown()
cluster.shutdown()
"""


def test_trials_of_a_lost_node_go_on_elsewhere(tmp_path: Path, home: Path) -> None:
    """Of a head without cores and two nodes with one each; every trial ends bitwise as if it had never moved."""
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    run_sweep(tmp_path / "tiny.yaml", home=tmp_path / "undisturbed", debug=True)
    drive = tmp_path / "drive.py"
    drive.write_text(DRIVE)
    done = subprocess.run(
        [sys.executable, drive, tmp_path / "tiny.yaml", home],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        start_new_session=True,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "heard at the blow: {0:" in done.stdout
    assert "ended: FINISHED ['COMPLETE', 'COMPLETE', 'COMPLETE', 'COMPLETE']" in done.stdout, output
    assert_same(home, comparable("tiny", tmp_path / "undisturbed"))
