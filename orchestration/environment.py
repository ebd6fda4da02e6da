"""What processes are started with: quiet libraries, one thread a trial, an allocator that keeps its pages."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_RAY = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_prestart_worker_first_driver": "0",  # Tune's actors have an environment of their own, and never take these
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "3600",
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "TUNE_MAX_PENDING_TRIALS_PG": "10000",  # with a searcher Tune would start one worker after another
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # the study is the state; Tune's copy grows with the trials, and nobody reads it
}
_WORKER = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Big logits are freed and asked for again at every step: without these each time costs the page faults anew.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184",
}

COMMIT = "VAE_SWEEPS_COMMIT"
"""Tells code that was sent to a cluster, and lies in no checkout there, where it comes from."""


def prepare_ray() -> None:
    """Sets what Ray and its workers read when they start; a value that the user has set stays. Call before importing ray."""
    for name, value in {**_RAY, **_WORKER}.items():
        os.environ.setdefault(name, value)


def worker_environment() -> dict[str, str]:
    """The same for workers of a cluster that was started elsewhere."""
    return {name: os.environ.get(name, value) for name, value in _WORKER.items()}


def git_commit() -> str:
    """The commit of the checkout that this code comes from, "+changes" where it is not clean; "none" where it is installed."""
    if COMMIT in os.environ:
        return os.environ[COMMIT]
    here = Path(__file__)
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)  # a virtual environment may lie in another's checkout
        head = _git(here.parent, "rev-parse", "HEAD")
        return head + ("+changes" if _git(here.parent, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "none"


def _git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
