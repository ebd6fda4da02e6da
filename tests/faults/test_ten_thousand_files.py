"""Ten thousand right sweep files with something changed at random: each is read, or refused with its faults, and soon."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, TINY

FILES, PROCESSES = 10_000, 2
LONGEST_S, MOST_BYTES = 2.0, 500 << 20
TOKENS = (
    *("null", "true", ".inf", ".nan", "-1", "0", "1e999", "1e-320", "0x1", "9" * 400, "''", "é", '"\\ud800"', "2026-01-01"),
    *(
        "{}",
        "[]",
        "[[[",
        "- ",
        ": ",
        "%",
        "#",
        "\n",
        "\t",
        "\0",
        "\x85",
        "\ufeff",
        "*a",
        "&a ",
        "<<: ",
        "? ",
        "---\n",
        "|\n",
        "'",
    ),
    *("!!python/name:os.system ", "!!python/object/apply:os.system [echo]", "!!binary aGk=", "../../etc/passwd", "file:///etc"),
    *("kind: sampled", "choices: {}", "values: []", "a.b.c", "min: ", "model.latent.size", "distribution: q_uniform", "q: 0"),
)
WORD = re.compile(r"[\w./]+")


def mutated(draw: random.Random, texts: list[str]) -> str:
    """One to four places are cut, filled with odd tokens, doubled, or exchanged."""
    text = draw.choice(texts)
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(text))
        match draw.randrange(5):
            case 0:
                text = text[:at] + (draw.choice(TOKENS) if draw.random() < 0.7 else chr(draw.randrange(0xD800))) + text[at:]
            case 1:
                text = text[:at] + text[at + draw.randint(1, 40) :]
            case 2 if words := list(WORD.finditer(text)):
                old, new = draw.choice(words), draw.choice(words)
                text = text[: old.start()] + new.group() + text[old.end() :]
            case 3 if words := list(WORD.finditer(text)):
                word = draw.choice(words)
                text = text[: word.start()] + draw.choice(TOKENS) + text[word.end() :]
            case _:
                lines = text.splitlines(keepends=True) or [""]
                lines.insert(draw.randrange(len(lines)), draw.choice(lines))
                text = "".join(lines)
    return text


def texts() -> list[str]:
    """What is changed: the sweeps of the project and of these tests."""
    return [TINY, *(path.read_text() for path in sorted((ROOT / "sweeps").glob("*.yaml")))]


def read(text: str) -> str:
    """The exit code that ``vae-sweeps validate`` would have: "0" or "2"; anything else is raised."""
    from orchestration.spec import SweepFileError, make_trial_config, parse_sweep
    from orchestration.spec.search_space import SearchSpace

    try:
        spec = parse_sweep(text, "f.yaml")
    except SweepFileError as error:
        told, faults = str(error), error.faults
    else:
        make_trial_config(spec, SearchSpace(spec.parameters).example())
        return "0"
    assert told.startswith("f.yaml"), told
    assert all(fault.message for fault in faults)
    return "2"


def main(share: int) -> dict[str, Any]:
    """Reads every ``PROCESSES``-th file; what came of it, the longest in CPU seconds, and the peak of memory in bytes."""
    draw, all_texts = random.Random(4), texts()
    codes: Counter[str] = Counter()
    broken: list[tuple[str, str]] = []
    longest_s = 0.0
    for number in range(FILES):
        text = mutated(draw, all_texts)
        if number % PROCESSES != share:
            continue
        began_s = time.process_time()
        try:
            codes[read(text)] += 1
        except Exception as error:
            broken.append((f"{type(error).__name__}: {error}", text))
        longest_s = max(longest_s, time.process_time() - began_s)
    status = Path("/proc/self/status").read_text()  # getrusage tells of the process that started this one, too
    peak = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"codes": codes, "broken": broken[:5], "longest_s": longest_s, "peak": peak}


@pytest.mark.long
def test_ten_thousand_mutated_files() -> None:
    command = [sys.executable, "-m", "tests.faults.test_ten_thousand_files"]
    children = [
        subprocess.Popen([*command, str(share)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for share in range(PROCESSES)
    ]
    outputs = [child.communicate(timeout=550) for child in children]
    codes: Counter[str] = Counter()
    for child, (out, err) in zip(children, outputs, strict=True):
        assert child.returncode == 0, err
        found = json.loads(out)
        assert not found["broken"], found["broken"]
        assert found["longest_s"] < LONGEST_S
        assert found["peak"] < MOST_BYTES
        codes.update(found["codes"])
    assert codes.total() == FILES
    assert min(codes["0"], codes["2"]) > FILES // 50, f"both outcomes are tried: {codes}"


def test_the_command_says_so_by_its_exit_code(tmp_path: Path) -> None:
    """A few of them through the command line itself."""
    draw, all_texts = random.Random(5), texts()
    files = []
    for number in range(40):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(mutated(draw, all_texts), encoding="utf-8", errors="surrogatepass")
    command = [sys.executable, "-m", "orchestration", "validate", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert all(str(file) in done.stderr + done.stdout for file in files)


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)
