"""Right sweep files with something changed at random: the loader tells what is wrong, and never breaks."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.spec import SweepFileError, make_trial_config, parse_sweep, spec_text
from orchestration.spec.search_space import SearchSpace
from tests.conftest import TINY

TEXT = """\
version: 1
name: s
trial: {data: {kind: python_docs}, model: {encoder: {kind: lstm}, decoder: {kind: gru}}, training: {epochs: 4}}
method: grid
parameters:
  model.softmax: {choices: {full: {}, adaptive: {cutoffs: {values: [[9], [2, 9]]}}, sampled: {samples: {min: 2, max: 8, q: 2}}}}
early_terminate: {type: asha, min_epochs: 2}
budget: {wall_time: 1h}
"""
TOKENS = st.sampled_from(
    (
        *("null", "true", ".inf", ".nan", "-1", "1e999", "1e-320", "0x1", "9" * 400, "''", "é", '"\\ud800"'),
        *("{}", "[]", "[[[", "- ", ": ", "%", "\n", "\t", "\0", "\x85", "*a", "&a ", "<<: ", "!!python/name:os.system "),
        *("kind: sampled", "choices: {}", "a.b.c", "min: "),
    )
)
WORD = re.compile(r"[\w./]+")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A right file in which some places are cut, filled with odd tokens, or exchanged."""
    text = draw(st.sampled_from([TINY, TEXT, spec_text(parse_sweep(TINY))]))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(text)))
        match draw(st.integers(0, 3)):
            case 0:
                text = text[:position] + draw(TOKENS | st.characters(codec="utf-8")) + text[position:]
            case 1:
                text = text[:position] + text[position + draw(st.integers(1, 30)) :]
            case 2 if words := list(WORD.finditer(text)):
                old, new = draw(st.sampled_from(words)), draw(st.sampled_from(words))
                text = text[: old.start()] + new.group() + text[old.end() :]
            case _:
                words = list(WORD.finditer(text, position)) or [re.compile("$").search(text)]  # type: ignore[list-item]
                text = text[: words[0].start()] + draw(TOKENS) + text[words[0].end() :]
    return text


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_mutated_file_gives_a_spec_or_its_faults_and_never_anything_else(text: str) -> None:
    try:
        spec = parse_sweep(text, "f.yaml")
    except SweepFileError as error:
        message = str(error)
        faults = error.faults
    else:
        assert parse_sweep(spec_text(spec), "f.yaml") == spec
        assert make_trial_config(spec, SearchSpace(spec.parameters).example())
        return
    assert message.startswith("f.yaml")
    assert all(fault.message for fault in faults)
