"""The spool keeps order and loses nothing, whenever its process dies."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from orchestration.tracking.spool import Spool, SpoolBusy, SpoolReader, is_held, pending_lines, rejected_lines, rejected_path


def numbers(reader: SpoolReader) -> list[int]:
    return [json.loads(line.text)["n"] for line in reader.read()]


def after_a_crash(path: Path) -> list[int]:
    """What the next process to hold the spool finds to send."""
    Spool(path)
    return numbers(SpoolReader(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "spool.jsonl"


def test_what_is_appended_is_read_in_order_until_delivered(path: Path) -> None:
    spool = Spool(path)
    reader = SpoolReader(path)
    for n in range(5):
        spool.append({"n": n})
    assert numbers(reader) == [0, 1, 2, 3, 4]
    for line in reader.read()[:2]:
        reader.delivered([line])
    spool.append({"n": 5})
    assert numbers(reader) == [2, 3, 4, 5]
    assert pending_lines(path) == 4


def test_a_later_process_finds_what_was_not_delivered(path: Path) -> None:
    first = Spool(path)
    for n in range(4):
        first.append({"n": n})
    reader = SpoolReader(path)
    reader.delivered([reader.read()[0]])
    first.close()
    assert after_a_crash(path) == [1, 2, 3]
    assert pending_lines(path) == 3


def test_nothing_is_lost_without_close(path: Path) -> None:
    """A killed process leaves its files as they are; the lock alone is freed by the system."""
    spool = Spool(path)
    spool.append({"n": 7})
    copy = path.parent.parent / "copy" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert after_a_crash(copy) == [7]


def test_a_torn_last_line_is_dropped_and_does_not_spoil_the_next(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"n": 0}\n{"n": 1, "tor')
    spool = Spool(path)
    spool.append({"n": 2})
    assert numbers(SpoolReader(path)) == [0, 2]
    assert pending_lines(path) == 2


@pytest.mark.parametrize("offset", ["", "no number", "99999", "-3"])
def test_without_a_usable_offset_all_is_sent_again(path: Path, offset: str) -> None:
    spool = Spool(path)
    for n in range(3):
        spool.append({"n": n})
    reader = SpoolReader(path)
    reader.delivered([reader.read()[1]])
    spool.close()
    path.with_suffix(".sent").write_text(offset)
    assert after_a_crash(path) == [0, 1, 2]


def test_one_process_at_a_time(path: Path) -> None:
    assert not is_held(path)
    spool = Spool(path)
    assert is_held(path)
    with pytest.raises(SpoolBusy, match="another process"):
        Spool(path)
    spool.close()
    assert not is_held(path)
    Spool(path).close()


def test_a_delivered_spool_is_emptied_and_used_again(path: Path) -> None:
    spool = Spool(path)
    spool.append({"n": 0})
    reader = SpoolReader(path)
    reader.delivered(reader.read())
    spool.close()
    assert path.read_bytes() == b""
    spool = Spool(path)
    spool.append({"n": 1})
    assert numbers(reader) == [1]


def test_a_long_sweep_does_not_fill_the_disk(path: Path) -> None:
    spool = Spool(path)
    reader = SpoolReader(path)
    largest = 0
    for n in range(60):
        spool.append({"n": n, "text": "x" * 100_000})
        assert numbers(reader) == [n]
        reader.delivered(reader.read())
        largest = max(largest, path.stat().st_size)
    assert largest < 2 << 20


def test_more_than_one_read_takes_comes_in_order(path: Path) -> None:
    spool = Spool(path)
    for n in range(60):
        spool.append({"n": n, "text": "x" * 100_000})
    seen: list[int] = []
    reader = SpoolReader(path)
    while lines := reader.read():
        seen += [json.loads(line.text)["n"] for line in lines]
        reader.delivered([lines[-1]])
    assert seen == list(range(60))


def test_one_side_writes_while_the_other_reads_and_nothing_is_missed(path: Path) -> None:
    """Some forty times on the way the spool is delivered whole, and emptied before the next line."""
    spool, seen, last = Spool(path), [], 4_000

    def read() -> None:
        reader = SpoolReader(path)
        while not seen or seen[-1] < last:
            if lines := reader.read():
                seen.extend(json.loads(line.text)["n"] for line in lines)
                reader.delivered(lines)

    thread = threading.Thread(target=read)
    thread.start()
    emptied = 0
    for n in range(last + 1):
        before = path.stat().st_size
        spool.append({"n": n, "text": "x" * 10_000})
        emptied += path.stat().st_size < before
        if n % 150 == 149:  # the reader catches up
            time.sleep(0.02)
    thread.join(timeout=60)
    assert seen == list(range(last + 1))
    assert emptied > 5


def test_a_line_that_is_being_written_is_not_read(path: Path) -> None:
    spool = Spool(path)
    spool.append({"n": 0})
    with path.open("ab") as file:
        file.write(b'{"n": 1, "te')
    assert numbers(SpoolReader(path)) == [0]


def test_whoever_is_killed_while_the_spool_is_emptied_loses_nothing(path: Path) -> None:
    """The lines are gone already, and the offset still says how many there were."""
    spool = Spool(path)
    for n in range(3):
        spool.append({"n": n})
    reader = SpoolReader(path)
    reader.delivered(reader.read())
    os.truncate(path, 0)
    assert reader.read() == []
    spool._file.close()
    Spool(path).append({"n": 3})
    assert numbers(SpoolReader(path)) == [3]


def test_rejected_lines_are_kept_with_their_reason(path: Path) -> None:
    spool = Spool(path)
    spool.append({"n": 0})
    assert rejected_lines(path) == 0
    reader = SpoolReader(path)
    reader.reject(reader.read()[0], ValueError("no such thing"))
    assert rejected_lines(path) == 1
    kept = json.loads(rejected_path(path).read_text())
    assert kept == {"error": "ValueError: no such thing", "entry": '{"n": 0}'}


def test_nothing_pends_where_there_is_no_spool(path: Path) -> None:
    assert pending_lines(path) == 0
    assert not path.parent.exists()


def test_a_power_cut_takes_nothing_that_was_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk is known to hold is what it held at the last sync; the rest may be gone."""
    synced = {"bytes": 0}
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        real(descriptor)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            synced["bytes"] = os.fstat(descriptor).st_size

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    spool = Spool(path)
    spool.append({"n": 0})
    assert synced["bytes"] == 0, "what would be said again waits for no disk"
    spool.append({"n": 1}, sync=True)
    spool.append({"n": 2})
    after = path.parent.parent / "after" / path.name
    after.parent.mkdir()
    after.write_bytes(path.read_bytes()[: synced["bytes"]])
    assert after_a_crash(after) == [0, 1]


def test_an_offset_beyond_the_file_skips_no_later_line(path: Path) -> None:
    """A power cut has kept the offset and lost the lines behind it; a process that is killed then leaves others there."""
    path.parent.mkdir()
    path.write_text('{"n": 0}\n')
    path.with_suffix(".sent").write_bytes(b"%020d" % 18)
    first = Spool(path)
    first.append({"n": 1})
    again = path.parent.parent / "again" / path.name
    again.parent.mkdir()
    for file in path.parent.iterdir():
        (again.parent / file.name).write_bytes(file.read_bytes())
    assert after_a_crash(again) == [0, 1]
