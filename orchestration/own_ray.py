"""A Ray of one's own: begun for one sweep on this machine, and gone with it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from orchestration.environment import prepare_ray
from orchestration.errors import RayAway
from orchestration.spec import Resources


@contextlib.contextmanager
def own_ray(resources: Resources) -> Iterator[None]:
    """Ray on this machine; where this process is connected to one already, that is left as it is.

    Raises:
        RayAway: it does not come up, as on a machine that is too busy for it.
        KeyboardInterrupt: SIGTERM came meanwhile.
    """
    prepare_ray()
    import ray

    if ray.is_initialized():
        yield
        return
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        try:
            _begin(resources)
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_term)  # Ray has put its own in place, which exits at once
        yield
    finally:
        ray.shutdown()


def _begin(resources: Resources) -> None:
    import ray

    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            num_cpus=_cpus(resources),
        )
    except SystemExit as end:  # what Ray makes of SIGTERM from its first process on
        raise KeyboardInterrupt from end
    except Exception as error:  # Ray raises no other class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        again = "try again when it is less busy (or with --debug, without Ray)"
        raise RayAway(f"Ray does not begin on this machine: {reason}; {again}") from error
    _hide_token()


def _hide_token() -> None:
    """Ray listens on every interface, guarded by a token that it writes for all to read: let only its owner read it."""
    token = Path.home() / ".ray" / "auth_token"
    if token.exists():
        token.chmod(0o600)


def _cpus(resources: Resources) -> int:
    """The machine's cores, or what the asked-for trials at once take where that is more."""
    return max(os.cpu_count() or 1, math.ceil((resources.max_concurrent_trials or 0) * resources.cpu))
