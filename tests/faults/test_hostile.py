"""Input that means harm: none of it runs, leaves the home, or reaches a reader as anything but text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dashboards.home import Home, HomeError, resolve_home
from orchestration import run_sweep
from orchestration.messages import Job
from orchestration.spec import SweepFileError, load_sweep, make_trial_config, parse_sweep
from orchestration.spec.search_space import SearchSpace
from orchestration.worker import run_trial
from tests.conftest import TINY
from tests.faults.sweeps import command
from vae_core.checkpoint import PREVIOUS, STATE

SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir [{trap}]",
        "!!python/object/new:os.mkdir [{trap}]",
        "!!python/name:os.mkdir",
        "!!python/module:os",
        "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [{trap}]",
        "!thing {{a: 1}}",
    ],
)
@pytest.mark.parametrize("key", ["question", "trial", "search"])
def test_a_tag_constructs_nothing(tmp_path: Path, key: str, value: str) -> None:
    trap = tmp_path / "trap"
    text = "\n".join(line for line in TINY.splitlines() if not line.startswith((f"{key}:", "  ")))
    file = tmp_path / "sweep.yaml"
    file.write_text(f"{text}\n{key}: {value.format(trap=trap)}\n")
    with pytest.raises(SweepFileError, match="is not allowed: a sweep file makes no objects"):
        load_sweep(file)
    with pytest.raises(SweepFileError, match="is not allowed: a sweep file makes no objects"):
        parse_sweep(TINY.replace("run_cap: 4", f"run_cap: {value.format(trap=trap)}"))
    assert not trap.exists()


CLIMBING = [
    "../up",
    "..",
    ".",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "a\0b",
    "",
    "-rf",
    "~",
    "a b",
    "x" * 300,
    "naïve",
    ".hidden",
    "con\n",
]


@pytest.mark.parametrize("name", CLIMBING)
def test_a_name_cannot_leave_the_home(tiny: Path, name: str) -> None:
    with pytest.raises(SweepFileError, match="must be 1 to 64 letters"):
        load_sweep(tiny, name=name)


@pytest.mark.parametrize("name", ["../up", "..", "/etc", "a/../../b", "a\0b"])
def test_no_command_looks_outside_the_home(tmp_path: Path, name: str) -> None:
    where: Home = resolve_home(tmp_path / "home")
    with pytest.raises(HomeError, match="cannot name a sweep"):
        where.sweep_dir(name)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["status"], ["resume", "--debug"], ["report"], ["show"], ["stop"]])
def test_the_commands_say_so(tiny: Path, home: Path, words: list[str]) -> None:
    run_sweep(tiny, home=home, debug=True, overrides=["run_cap=1", "trial.training.epochs=1"])
    code, output = command(words[0], "../../etc", *words[1:], "--home", home)
    assert code == 2, output
    assert "Traceback" not in output


class Harm:
    """What a pickle could do."""

    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        return Path.touch, (self.trap,)


def test_a_pickle_in_a_checkpoint_is_refused_said_and_trained_past(tmp_path: Path) -> None:
    """In both states: the trial begins anew. Nothing of it is ever unpickled."""
    spec = parse_sweep(TINY)
    config = make_trial_config(spec, SearchSpace(spec.parameters).example())
    directory, trap = tmp_path / "trial", tmp_path / "trap"
    directory.mkdir()
    for name in (STATE, PREVIOUS):
        torch.save({"history": [], "model": Harm(trap)}, directory / name)
    messages = list(run_trial(Job(0, config.to_dict(), str(directory)), None))
    assert not trap.exists()
    assert "no state can be read" in messages[1].reason
    assert [message.kind for message in messages] == ["start", "notice", *["epoch"] * 3, "final", "end"]
    assert messages[-1].state == "COMPLETE"


def test_names_and_texts_are_shown_as_they_are(tmp_path: Path, home: Path) -> None:
    """The question and a searched value hold markup: in no report does it become any."""
    from dashboards import load_sweeps
    from dashboards.status import report_sweep
    from orchestration.tracking.note import NoteRow, sweep_note

    file = tmp_path / "hostile.yaml"
    file.write_text(
        TINY.replace("question: Does", f"question: {SCRIPT} [x](javascript:alert(1)) Does").replace("epochs: 3", "epochs: 1")
    )
    result = run_sweep(file, home=home, debug=True, overrides=["run_cap=1"])
    assert result.state == "FINISHED"
    assert SCRIPT in load_sweeps(home=home)["question"][0], "kept as it was written"
    markdown = report_sweep("tiny", format="markdown", home=home)
    assert isinstance(markdown, str)
    row = NoteRow(0, "COMPLETE", 1.0, {"model.kind": SCRIPT, f"a.{SCRIPT}": "[x](javascript:alert(1))"}, 1, 1.0)
    note = sweep_note("tiny", f"{SCRIPT} [x](javascript:alert(1))", "RUNNING", "val/neg_elbo", "minimize", 1, [row])
    for shown in (markdown, note):
        assert "<script" not in shown
        assert not re.search(r"(?<!\\)\]\(javascript:", shown), "a bracket that ends a link"
        assert "&lt;script&gt;" in shown
