"""Each sweep file has a script that answers its question; it and the recipes of docs/pandas.md run on tiny sweeps."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration import run_sweep
from tests.conftest import ROOT

SHARED = ["trial.evaluation.importance_samples=2", "trial.evaluation.importance_examples=20", "trial.evaluation.samples=4"]
TEXT = [
    "trial.model.encoder.embedding=8",
    "trial.model.encoder.hidden=8",
    "trial.model.decoder.hidden=8",
    "trial.model.latent.size=4",
]
OWN_TABLE = ["trial.model.decoder.embedding=8"]
TINY_VERSIONS = {
    "digits": [
        "trial.training.epochs=2",
        "parameters={objective.beta: {values: [0.5, 1.0]}, model.latent.size: {values: [2, 4]},"
        " objective.annealing: {choices: {constant: {}, linear: {warmup: {value: 0.3}}}}}",
    ],
    "digits_population": ["trial.training.epochs=6", "early_terminate={type: pbt, interval: 2, quantile: 0.25}", "run_cap=4"],
    "quickstart": ["trial.training.epochs=2", "trial.data.max_sentences=400", "early_terminate=null", "run_cap=9", *TEXT],
    "shakespeare_annealing": [
        *("trial.training.epochs=3", "trial.data.max_sentences=300", "early_terminate=null", "run_cap=6"),
        *TEXT,
    ],
    "wikitext2_collapse": [
        *("trial.training.epochs=3", "trial.data.max_sentences=300"),
        "parameters={remedy: {variants: {plain: {}, free bits: {objective.free_bits: {kind: batch, nats: 0.1}}}}}",
        *TEXT,
        *OWN_TABLE,
    ],
    "wikitext2_softmax": [
        *("trial.training.epochs=2", "trial.data.max_sentences=300", "trial.data.vocabulary={max_size: 300}"),
        "parameters={model.softmax: {choices: {full: {}, sampled: {samples: {value: 32}}}}}",
        *TEXT,
    ],
    "wikitext2_stopping": ["trial.training.epochs=4", "trial.data.max_sentences=300", "run_cap=6", *TEXT, *OWN_TABLE],
}
ANSWERS = {
    "digits": "The frontier: no other trial has both",
    "digits_population": "of 4 trials descend from another's weights.",
    "quickstart": "What the best model draws:",
    "shakespeare_annealing": "Word dropout and -ELBO, in nats",
    "wikitext2_collapse": "dimensions in use",
    "wikitext2_softmax": "Least perplexity is lost by sampled:",
    "wikitext2_stopping": "The order after each epoch against the order at the end",
}


def test_each_sweep_file_has_a_script() -> None:
    files = {path.stem for path in (ROOT / "sweeps").glob("*.yaml")}
    assert files == {path.stem for path in (ROOT / "docs" / "examples").glob("*.py")} == set(TINY_VERSIONS)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY_VERSIONS)
def test_a_script_answers(name: str, home: Path, request: pytest.FixtureRequest) -> None:
    if not name.startswith(("digits", "quickstart")):
        request.getfixturevalue("data_directory")
    result = run_sweep(ROOT / "sweeps" / f"{name}.yaml", home=home, debug=True, overrides=[*TINY_VERSIONS[name], *SHARED])
    command = [sys.executable, str(ROOT / "docs" / "examples" / f"{name}.py"), "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert ANSWERS[name] in done.stdout, done.stdout
    assert result.name == re.search(r'"--name", default="(.*?)"', (ROOT / command[1]).read_text())[1]  # type: ignore[index]


@pytest.mark.slow
def test_the_recipes(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In order, in one place, as a person would try them."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "pandas.md").read_text(), re.DOTALL)
    assert len(blocks) == 5
    changes = [*TINY_VERSIONS["quickstart"], *SHARED, "run_cap=3"]
    run_sweep(ROOT / "sweeps" / "quickstart.yaml", home=home, debug=True, overrides=changes, name="mine")
    monkeypatch.setenv("VAE_SWEEPS_HOME", str(home))
    capsys.readouterr()
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
        assert capsys.readouterr().out.strip()
