"""What passes is waited out and said once; what does not is raised at once."""

from __future__ import annotations

import errno
import time

import pytest

from orchestration import patience
from orchestration.patience import no_room, patiently


def test_it_is_done_again_until_it_succeeds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.01)
    left = [OSError(errno.ENOSPC, "No space left on device")] * 3

    def act() -> int:
        if left:
            raise left.pop()
        return 7

    assert patiently(act, lambda error: "no room" if no_room(error) else None) == 7
    said = capsys.readouterr().err.splitlines()
    assert said == ["vae-sweeps: no room; the sweep waits and goes on by itself", "vae-sweeps: going on after 0 s"]


def test_what_does_not_pass_is_raised_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    began_s = time.monotonic()
    with pytest.raises(PermissionError):
        patiently(
            lambda: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")), lambda error: "full" if no_room(error) else None
        )
    assert time.monotonic() - began_s < 0.5
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_known_behind_other_errors() -> None:
    hidden = RuntimeError("unexpected pos 576 vs 534")
    hidden.__context__ = OSError(errno.EDQUOT, "Disk quota exceeded")
    assert no_room(hidden)
    assert no_room(ValueError("Error while serializing: I/O error: No space left on device (os error 28)"))
    assert not no_room(OSError(errno.EIO, "Input/output error"))
