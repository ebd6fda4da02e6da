"""The queue's entries: their order, their turns, and what the commands say of them."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dashboards.home import Home, HomeError, resolve_home
from orchestration import run_sweep
from orchestration.cli import app
from orchestration.commands.options import UsageFault
from orchestration.driver_lock import only_driver
from orchestration.errors import LaunchError
from orchestration.spec import SweepFileError, load_sweep, spec_text
from orchestration.sweep_queue import Queue
from tests.conftest import TINY


@pytest.fixture
def where(home: Path) -> Home:
    return resolve_home(home)


def command(*words: str | Path) -> str:
    """``vae-sweeps WORDS`` in this process; its output.

    Raises:
        Exception: what the command raises, from which ``cli.main`` makes its message.
    """
    done = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
    return done.output


def test_the_highest_priority_then_the_oldest(where: Home) -> None:
    queue = Queue(where)
    for name, priority in (("old", 0), ("young", 0), ("urgent", 5), ("patient", -1)):
        queue.add(name, None, priority)
    assert [entry.name for entry in queue.entries()] == ["urgent", "old", "young", "patient"]
    with queue.only_runner():
        queue.begin("young")
        assert [entry.name for entry in queue.entries()][1] == "young", "what runs goes on first among its equals"
        queue.change("patient", priority=9)
        queue.change("urgent", state="done")
        assert [entry.name for entry in queue.entries()] == ["patient", "young", "old", "urgent"]


def test_an_entry_is_taken_out_unless_it_runs(where: Home) -> None:
    queue = Queue(where)
    queue.add("one", None, 0)
    queue.add("two", None, 0)
    with queue.only_runner():
        queue.begin("one")
        with pytest.raises(LaunchError, match="vae-sweeps stop one"):
            queue.remove("one")
    queue.remove("two")
    assert queue.begin("two") is None
    with pytest.raises(LaunchError, match="did you mean one"):
        queue.remove("onee")
    with pytest.raises(HomeError, match="cannot name a sweep"):
        queue.add("../one", None, 0)


def test_a_name_stands_once(where: Home) -> None:
    queue = Queue(where)
    for state in ("waiting", "running", "stopped"):
        queue.add("one", None, 0)
        with queue.only_runner():
            queue.change("one", state=state, runner=queue.runner())
            with pytest.raises(LaunchError, match=f"in the queue already, {state}"):
                queue.add("one", "text", 0)
        queue.change("one", state="failed", reason="broken")
    assert queue.add("one", "text", 0).reason == "", "one that has failed makes room"


def test_an_earlier_turn_counts_no_more(where: Home) -> None:
    queue = Queue(where)
    queue.add("one", None, 0)
    with queue.only_runner():
        first, second = queue.begin("one"), queue.begin("one")
        assert first is not None
        assert second is not None
        queue.change("one", first.turn, state="failed", reason="too late")
        assert queue.entry("one") == second


def test_changes_at_once_lose_nothing(where: Home) -> None:
    queue = Queue(where)
    queue.add("one", None, 0)

    def begin() -> None:
        for _ in range(50):
            Queue(where).begin("one")

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entry = queue.entry("one")
    assert entry is not None
    assert entry.turn == 200


def test_a_turn_that_was_killed_is_over(tiny: Path, where: Home) -> None:
    """Its runner is gone, or another one: the entry waits, and can be taken out. Its sweep lives on, where one drives it."""
    words = ("--home", where.root)
    queue = Queue(where)
    for name in ("one", "two", "three"):
        queue.add(name, None, 0)
        with queue.only_runner():
            queue.begin(name)
    assert [entry.state for entry in queue.entries()] == ["waiting"] * 3
    where.sweep_dir("one").mkdir(parents=True)
    with only_driver("one", where):
        assert [entry.state for entry in queue.entries()] == ["running", "waiting", "waiting"]
        with pytest.raises(LaunchError, match="vae-sweeps stop one"):
            queue.remove("one")
    time.sleep(1.0)  # the next runner signs with another second
    with queue.only_runner():
        assert queue.begin("three") is not None
        assert {entry.name: entry.state for entry in queue.entries()} == {"one": "waiting", "two": "waiting", "three": "running"}
        assert "two is out of the queue; it was waiting" in command("queue", "remove", "two", *words)
        with pytest.raises(UsageFault, match="no driver is running 'three': its turn has just begun"):
            command("stop", "three", *words)
    assert "killed" in command("queue", "list", *words)
    with pytest.raises(UsageFault, match="no driver is running 'one': it waits in the queue; vae-sweeps queue remove one"):
        command("stop", "one", *words)


WRONG = [
    '{"name": "bro',
    "[]",
    "null",
    b"\xff\xfe",
    '{"name": "broken", "priority": "high"}',
    '{"name": "broken", "priority": null, "state": "waiting"}',
    '{"name": "broken", "state": "walking"}',
    '{"name": "broken", "added_s": [], "turn": 1.5}',
    '{"name": "broken", "text": 5}',
]


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("name", ["broken", "br\\oken"])
def test_a_damaged_entry_is_in_nobodys_way(where: Home, text: str | bytes, name: str) -> None:
    queue = Queue(where)
    queue.add("one", None, 0)
    file = where.root / "queue" / f"{name}.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    one, broken = queue.entries()
    assert (one.name, broken.name, broken.state) == ("one", name, "failed")
    assert "cannot be read" in broken.reason
    assert name in command("queue", "list", "--home", where.root)
    queue.remove(name)
    assert [entry.name for entry in queue.entries()] == ["one"]


def test_one_runner(where: Home) -> None:
    queue = Queue(where)
    assert queue.runner() is None
    with queue.only_runner():
        holder = queue.runner()
        assert holder is not None
        with pytest.raises(LaunchError, match="is being worked off by process "), queue.only_runner():
            raise AssertionError("there are two")
    assert queue.runner() is None


def test_looking_makes_nothing(where: Home) -> None:
    assert "is empty" in command("queue", "--home", where.root)
    with pytest.raises(LaunchError, match="not in the queue"):
        command("queue", "remove", "one", "--home", where.root)
    assert not where.root.exists()


def test_a_file_is_put_in_whole(tiny: Path, where: Home) -> None:
    words = ("--home", where.root)
    said = command("queue", "add", tiny, "--priority", "2", "--name", "mine", "--set", "run_cap=3", *words)
    assert "mine is in the queue, place 1 of 1, priority 2" in said
    assert f"vae-sweeps queue run --home {where.root}" in said
    entry = Queue(where).entry("mine")
    assert entry is not None
    assert entry.text == spec_text(load_sweep(tiny, ["run_cap=3"], name="mine"))
    assert (where.root / "queue" / "mine.json").stat().st_mode & 0o077 == 0, "it may hold passwords"
    with pytest.raises(LaunchError, match="'mine' is in the queue already, waiting"):
        command("queue", "add", tiny, "--name", "mine", *words)
    assert "mine has priority -7 in the queue, where it is waiting" in command("set", "mine", "priority=-7", *words)
    listed = command("queue", "list", *words).splitlines()
    assert listed[0] == "nobody works this queue off"
    assert listed[2].split() == ["1", "mine", "-7", "waiting"]
    assert "in the queue: waiting, place 1, priority -7" in command("status", "mine", *words)
    assert "mine is out of the queue; it was waiting" in command("queue", "remove", "mine", *words)


def test_what_is_wrong_is_told_before(tiny: Path, where: Home, tmp_path: Path) -> None:
    words = ("--home", where.root)
    (tmp_path / "wrong.yaml").write_text(TINY.replace("{kind: digits}", "{kind: text_file, train: no, valid: no, test: no}"))
    with pytest.raises(SweepFileError, match=r"wrong\.yaml"):
        command("queue", "add", tmp_path / "wrong.yaml", *words)
    for wrong in (("queue", "add"), ("queue", "add", tiny, "--resume", "x"), ("queue", "add", "--resume", "x", "--name", "y")):
        with pytest.raises(UsageFault):
            command(*wrong, *words)
    with pytest.raises(UsageFault, match="whole number"):
        command("set", "tiny", "priority=high", *words)
    with pytest.raises(LaunchError, match="not in the queue"):
        command("set", "tiny", "priority=1", *words)
    with pytest.raises(UsageFault, match="--home stands at the end"):
        command("queue", *words, "list")
    assert Queue(where).entries() == []


def test_a_sweep_of_the_home(tiny: Path, where: Home) -> None:
    """Its name is taken; it can be gone on with while it has trials left, and nobody drives it."""
    words = ("--home", where.root)
    run_sweep(tiny, home=where.root, overrides=["run_cap=1", "trial.training.epochs=1"], debug=True)
    with pytest.raises(LaunchError, match="'tiny' is used"):
        command("queue", "add", tiny, *words)
    with pytest.raises(UsageFault, match="has ended with its 1 trials"):
        command("queue", "add", "--resume", "tiny", *words)
    with pytest.raises(LaunchError, match="there is no sweep 'tyni'"):
        command("queue", "add", "--resume", "tyni", *words)
    from orchestration.stored_sweeps import stored_sweep
    from orchestration.study import Search

    spec, _ = stored_sweep("tiny", where)
    Search.resume(spec, where.study_url("tiny")).set_text(spec_text(spec.model_copy(update={"run_cap": 2})))
    with only_driver("tiny", where), pytest.raises(UsageFault, match="is being run by process"):
        command("queue", "add", "--resume", "tiny", *words)
    assert "tiny is in the queue" in command("queue", "add", "--resume", "tiny", *words)
    assert json.loads((where.root / "queue" / "tiny.json").read_text())["text"] is None
