"""The garbage collector rests while libraries are imported, and never longer where training makes garbage."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from orchestration.importing import collect_rarely, uncollected
from orchestration.messages import Job
from orchestration.worker import run_trial


def test_nothing_is_collected_within_and_all_is_as_usual_after_it() -> None:
    usual = gc.get_threshold()
    collect_rarely()
    assert gc.get_threshold()[0] > 10 * usual[0]
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_threshold() == usual


def test_a_trial_is_trained_as_usual_in_a_process_that_collects_rarely(tmp_path: Path) -> None:
    usual = gc.get_threshold()
    collect_rarely()
    next(run_trial(Job(0, {}, str(tmp_path)), None))
    assert gc.isenabled()
    assert gc.get_threshold() == usual


def test_the_command_line_collects_rarely() -> None:
    code = """
import gc, sys
from orchestration.cli import main
sys.argv = ["vae-sweeps", "--help"]
try:
    main()
finally:
    print(gc.get_threshold()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) > 10 * gc.get_threshold()[0]
