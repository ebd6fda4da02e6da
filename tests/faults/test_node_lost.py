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


ALONE = """\
import faulthandler, os, sys, threading, time
faulthandler.dump_traceback_later(240, exit=True)
from pathlib import Path
from orchestration.environment import prepare_ray
prepare_ray()
import ray
from ray.cluster_utils import Cluster
from orchestration import node_watch
node_watch.LOOK_EVERY_S, node_watch.PATIENCE_S = 0.5, 3.0

sweep, home, back = sys.argv[1:]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
node = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)
log = Path(home) / "trials" / "tiny" / "driver.log"

def until(line):
    while not (log.exists() and line in log.read_text()):
        time.sleep(0.1)

def drive():
    from orchestration import run_sweep
    result = run_sweep(sweep, home=home)
    print("ended:", result.state, result.ended_by, [view.state for view in result.trials], flush=True)

driving = threading.Thread(target=drive, daemon=True)  # nodes can be added by the main thread alone
driving.start()
until("trial 1 started")
cluster.remove_node(node, allow_graceful=False)
until("no machine of the cluster has")
time.sleep(3.0)
if back == "back":
    cluster.add_node(num_cpus=1)
else:
    from dashboards.home import resolve_home
    from orchestration.driver_lock import order
    print("told to stop:", order("tiny", resolve_home(home), stop="now"), flush=True)
driving.join(120)
for left in cluster.list_all_nodes():
    left.kill_all_processes(check_alive=False, wait=True)
os._exit(0)  # disconnecting, Ray would wait for the node that is gone
"""


@pytest.mark.parametrize("back", ["back", "stopped"])
def test_the_only_node_goes_away(tmp_path: Path, home: Path, back: str) -> None:
    """The sweep says that it waits, and goes on with a node that comes, or can be stopped."""
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    drive = tmp_path / "alone.py"
    drive.write_text(ALONE)
    done = subprocess.run(
        [sys.executable, drive, tmp_path / "tiny.yaml", home, back],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        start_new_session=True,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    log = (home / "trials" / "tiny" / "driver.log").read_text()
    assert log.count("notice: no machine of the cluster has the 1 CPU and 0 GPU of a trial any more") == 1, log
    assert done.stderr.count("the sweep waits for one and goes on by itself") == 1, output
    if back == "back":
        assert "ended: FINISHED run_cap ['COMPLETE', 'COMPLETE', 'COMPLETE', 'COMPLETE']" in done.stdout, output
        assert "a machine that can train a trial is there again" in log
    else:
        assert "told to stop: process " in done.stdout
        assert "ended: INTERRUPTED stopped ['STOPPED', 'STOPPED']" in done.stdout, output
