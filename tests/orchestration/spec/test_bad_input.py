"""Whatever is wrong with a sweep file is told at its place, all of it at once, and nothing but that is raised."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from orchestration.spec import SweepFileError, parse_sweep
from tests.conftest import ROOT, TINY

TEXT = (ROOT / "sweeps" / "quickstart.yaml").read_text()


class Case(NamedTuple):
    """A right file with one thing made wrong."""

    old: str
    new: str
    at: str
    """The text at whose place the fault is told."""
    path: str
    message: str
    nearest: str | None = None
    base: str = TINY
    faults: int = 1


ONE = {
    "unknown section": Case("run_cap", "run_caps", "run_caps", "run_caps", "unknown key", "run_cap", faults=2),
    "later section": Case("run_cap: 4", "run_cap: 4\ncommand: []", "command", "command", "unknown key"),
    "section of the trial on top": Case(
        "run_cap: 4", "run_cap: 4\ntraining: {}", "training: {}", "training", "unknown key", "trial.training"
    ),
    "wrong version": Case("version: 1", "version: '1'", "'1'", "version", "must be 1"),
    "name outside": Case("name: tiny", "name: a/b", "a/b", "name", "letters, digits"),
    "hidden name": Case("name: tiny", "name: .git", ".git", "name", "letters, digits"),
    "long name": Case("name: tiny", f"name: {'x' * 65}", "x" * 65, "name", "1 to 64"),
    "number as a name": Case("name: tiny", "name: 7", "7", "name", "valid string"),
    "method": Case("method: random", "method: gridd", "gridd", "method", "'grid'", "grid"),
    "no trials": Case("run_cap: 4", "run_cap: 0", "0\nresources", "run_cap", "greater than or equal to 1"),
    "unknown field": Case("epochs: 3", "epochz: 3", "epochz", "trial.training.epochz", "unknown key", "epochs"),
    "field of another kind": Case(
        "objective: {kind: elbo}",
        "optimizer: {kind: sgd, betas: [0.9, 0.9]}",
        "betas",
        "trial.optimizer.betas",
        "no field of kind sgd, but of: adam, lazy_adam, adamw",
    ),
    "wrong type": Case("epochs: 3", "epochs: 3.5", "3.5", "trial.training.epochs", "integer"),
    "text for a number": Case("epochs: 3", "epochs: '3'", "'3'", "trial.training.epochs", "integer"),
    "unknown kind": Case("kind: digits", "kind: digit", "digit}", "trial.data.kind", "python_docs, text_file", "digits"),
    "no kind": Case("{kind: digits}", "{pixels: grey}", "{pixels: grey}", "trial.data.kind", "missing; one of"),
    "part missing": Case("encoder: {kind: mlp, hidden: [32]}, ", "", "{decoder", "trial.model.encoder", "missing"),
    "parts that do not fit": Case(
        "encoder: {kind: mlp, hidden: [32]}", "encoder: {kind: lstm}", "lstm", "trial.model.encoder.kind", "digits is image"
    ),
    "unknown parameter": Case(
        "objective.beta:", "objective.bata:", "objective.bata", "parameters.objective.bata", "no such field", "objective.beta"
    ),
    "unknown section of a parameter": Case(
        "optimizer.lr", "optimiser.lr", "optimiser.lr", "parameters.optimiser.lr", "no such field", "optimizer.lr"
    ),
    "parameter without its section": Case(
        "objective.beta:", "warmup:", "warmup", "parameters.warmup", "no such field", "objective.annealing.warmup"
    ),
    "parameter of a kind that is not chosen": Case(
        "  model.decoder.word_dropout",
        "  model.encoder.activation: {value: relu}\n  model.decoder.word_dropout",
        "model.encoder.activation",
        "parameters.model.encoder.activation",
        "no field of kind lstm, but of: bag_of_words, mlp",
        base=TEXT,
    ),
    "set twice": Case(
        "objective: {kind: elbo}",
        "objective: {beta: 1}",
        "objective.beta",
        "parameters.objective.beta",
        "trial.objective.beta (line 7)",
    ),
    "kind set twice": Case(
        "objective: {kind: elbo}",
        "objective: {annealing: {kind: linear}}",
        "objective.annealing",
        "parameters.objective.annealing",
        "set twice",
    ),
    "set by a choice and beside it": Case(
        "run_cap",
        "  objective.annealing.warmup: {value: 0.1}\nrun_cap",
        "objective.annealing.warmup",
        "parameters.objective.annealing.warmup",
        "set twice, here and in parameters.objective.annealing.choices.linear.warmup",
    ),
    "beside a choice, unknown to an option": Case(
        "early_terminate",
        "  model.softmax.division: {value: 1.0}\nearly_terminate",
        "model.softmax.division",
        "parameters.model.softmax.division",
        "no field of kind full, but of: adaptive",
        base=TEXT,
        faults=2,
    ),
    "min above max": Case("min: 0.1, max: 1.0", "min: 2.0, max: 1.0", "2.0", "parameters.objective.beta.min", "above max"),
    "log of zero": Case("min: 1e-3", "min: 0.0", "0.0, max: 1e-2", "parameters.optimizer.lr.min", "above 0"),
    "no values": Case("{min: 0.1, max: 1.0}", "{values: []}", "[]", "parameters.objective.beta.values", "at least 1"),
    "values twice": Case("{min: 0.1, max: 1.0}", "{values: [1, 2, 1.0]}", "[1, 2", "parameters.objective.beta.values", "twice"),
    "value that the field refuses": Case(
        "{min: 0.1, max: 1.0}", "{values: [1, -2]}", "-2", "parameters.objective.beta.values[1]", "greater"
    ),
    "end that the field refuses": Case(
        "{warmup: {min: 0.1, max: 0.5}}",
        "{warmup: {min: 0.1, max: 1.5}}",
        "1.5",
        "parameters.objective.annealing.choices.linear.warmup.max",
        "less than or equal to 1",
    ),
    "numbers that an integer field refuses": Case(
        "objective.beta: {min: 0.1, max: 1.0}",
        "objective.samples: {min: 1.5, max: 2.5}",
        "1.5",
        "parameters.objective.samples.min",
        "integer",
        faults=2,
    ),
    "whole ends of a real field": Case(
        "{min: 0.1, max: 1.0}", "{min: 0, max: 1}", "{min: 0, max", "parameters.objective.beta", "write 0.0 and 1.0"
    ),
    "bare value": Case("{min: 0.1, max: 1.0}", "0.5", "0.5\n", "parameters.objective.beta", "with min and max"),
    "misspelt end": Case(
        "{min: 0.1, max: 1.0}", "{min: 0.1, mix: 1.0, max: 1}", "mix", "parameters.objective.beta.mix", "unknown key", "min"
    ),
    "half a range": Case("{min: 0.1, max: 1.0}", "{min: 0.1}", "{min: 0.1}", "parameters.objective.beta.max", "missing"),
    "two forms": Case(
        "{min: 0.1, max: 1.0}", "{min: 0.1, values: [1]}", "min: 0.1, v", "parameters.objective.beta.min", "does not go with"
    ),
    "distribution": Case(
        "log_uniform_values",
        "log_uniform_value",
        "log_uniform_value,",
        "parameters.optimizer.lr.distribution",
        "'log_uniform_values'",
        "log_uniform_values",
    ),
    "no member": Case(
        "constant: {}",
        "constnat: {}",
        "constnat",
        "parameters.objective.annealing.choices.constnat",
        "constant, linear",
        "constant",
    ),
    "unknown field of an option": Case(
        "{warmup:", "{warmpu:", "warmpu", "parameters.objective.annealing.choices.linear.warmpu", "no such field", "warmup"
    ),
    "no options": Case(
        "\n      constant: {}\n      linear: {warmup: {min: 0.1, max: 0.5}}",
        " {}",
        "{}",
        "parameters.objective.annealing.choices",
        "at least 1",
    ),
    "options that do not fit": Case(
        "run_cap",
        "  model.softmax: {choices: {full: {}, sampled: {}}}\nrun_cap",
        "sampled: {}",
        "parameters.model.softmax.choices.sampled",
        "sampled is for text",
    ),
    "values that do not fit together": Case(
        "adaptive: {cutoffs: {values: [[100], [100, 500]]}}",
        "adaptive: {cutoffs: {value: [100]}, division: {values: [1.0, 4.0]}}",
        "4.0",
        "parameters.model.softmax.choices.adaptive.division.values[1]",
        "tie_embeddings",
        base=TEXT,
    ),
    "value that its own class refuses": Case(
        "[[100], [100, 500]]",
        "[[100], [500, 100]]",
        "[500, 100]",
        "parameters.model.softmax.choices.adaptive.cutoffs.values[1]",
        "ascend",
        base=TEXT,
    ),
    "continuous grid": Case("method: random", "method: grid", "{distri", "parameters.optimizer.lr", "a grid needs", faults=3),
    "metric of the test": Case(
        "val/neg_elbo", "test/neg_elbo", "test/neg_elbo", "metric.name", "may not be searched on", "val/neg_elbo"
    ),
    "metric of training": Case("val/neg_elbo", "train/loss", "train/loss", "metric.name", "annealed"),
    "unknown metric": Case("val/neg_elbo", "val/neg_elb", "val/neg_elb", "metric.name", "no trial reports it", "val/neg_elbo"),
    "metric that has no better way": Case(
        "val/neg_elbo", "val/rate", "val/rate", "metric.name", "neither higher nor lower is better"
    ),
    "metric that heads may lack": Case(
        "val/neg_elbo", "val/softmax_gap", "val/softmax_gap", "metric.name", "neither higher nor lower is better", base=TEXT
    ),
    "metric of text": Case("val/neg_elbo", "val/perplexity", "val/perplexity", "metric.name", "for text only"),
    "goal": Case("goal: minimize", "goal: maximize", "maximize", "metric.goal", "must be minimize"),
    "stopping after the end": Case(
        "run_cap: 4",
        "run_cap: 4\nearly_terminate: {type: asha, min_epochs: 9}",
        "9",
        "early_terminate.min_epochs",
        "at most the 3 epochs",
    ),
    "stopping rule": Case(
        "run_cap: 4", "run_cap: 4\nearly_terminate: {type: asah}", "asah", "early_terminate.type", "none, asha", "asha"
    ),
    "time": Case("run_cap: 4", "run_cap: 4\nbudget: {wall_time: 2 hours}", "2 hours", "budget.wall_time", "1h30m"),
    "no cores": Case("cpu: 1", "cpu: 0", "0, max_c", "resources.cpu", "greater than 0"),
}


@pytest.mark.parametrize("case", ONE.values(), ids=ONE)
def test_one_fault_is_told_at_its_place(case: Case) -> None:
    assert case.old in case.base
    text = case.base.replace(case.old, case.new, 1)
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(text, "f.yaml")
    fault = next((fault for fault in caught.value.faults if fault.path == case.path), None)
    assert fault is not None, str(caught.value)
    assert case.message in fault.message
    assert fault.nearest == case.nearest
    start = text.index(case.at, text.index(case.new) if case.at in case.new else 0)
    assert (fault.line, fault.column) == (text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
    assert len(caught.value.faults) == case.faults, str(caught.value)


def test_everything_is_told_at_once_in_the_order_of_the_file() -> None:
    text = TINY
    for old, new in [
        ("name: tiny", "name: ../x"),
        ("kind: digits", "kind: digts"),
        ("epochs: 3", "epochs: many"),
        ("method: random", "method: rand"),
        ("goal: minimize", "goal: smallest"),
        ("min: 1e-3", "min: 0"),
        ("objective.beta", "objective.betta"),
        ("constant: {}", "none: {}"),
        ("run_cap: 4", "run_cap: four"),
    ]:
        text = text.replace(old, new, 1)
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(text, "f.yaml")
    assert [fault.path for fault in caught.value.faults] == [
        "name",
        "trial.data.kind",
        "trial.training.epochs",
        "method",
        "metric.goal",
        "parameters.optimizer.lr.min",
        "parameters.objective.betta",
        "parameters.objective.annealing.choices.none",
        "run_cap",
    ]
    blocks = re.split(r"\n(?=\S)", str(caught.value))
    assert len(blocks) == 9
    assert blocks[1] == (
        "f.yaml:5:16: trial.data.kind: must be one of: python_docs, text_file, labelled_files, csv, json_lines, parquet, "
        "huggingface, digits, npz\n"
        '    it reads: "digts"\n'
        "    did you mean: digits"
    )


@pytest.mark.parametrize("section", ["trial", "parameters", "search", "metric", "budget", "resources", "tracking", "collapse"])
@pytest.mark.parametrize("value", ["3", "[]", "text", "[{}]", "{x: {y: {z: 1}}}"])
def test_a_section_that_is_something_else_is_told_so(section: str, value: str) -> None:
    lines = re.sub(rf"^{section}:.*(\n .*)*\n", "", TINY, flags=re.MULTILINE)
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(f"{section}: {value}\n{lines}", "f.yaml")
    assert any(fault.line == 1 and fault.path.startswith(section) for fault in caught.value.faults), str(caught.value)


@pytest.mark.parametrize("count", [12, 40])
def test_many_combinations_are_checked_within_a_bound(count: int) -> None:
    """A misfit among more combinations than can be made is found, since each value is tried once by itself."""
    names = [
        f"{part}.variational_dropout.{place}" for part in ("model.encoder", "model.decoder") for place in ("inputs", "hidden")
    ]
    many = "".join(f"  {name}: {{values: {[round(n / 100, 2) for n in range(count)]}}}\n" for name in names)
    text = TEXT.replace("early_terminate", f"{many}early_terminate", 1)
    assert parse_sweep(text)
    wrong = text.replace("[100, 500]", "[500, 100]")
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(wrong)
    assert [fault.path for fault in caught.value.faults] == ["parameters.model.softmax.choices.adaptive.cutoffs.values[1]"]


def test_too_many_parameters_are_told_so() -> None:
    many = "".join(f"  seed{number}: {{value: 1}}\n" for number in range(200))
    with pytest.raises(SweepFileError, match="must hold at most 100"):
        parse_sweep(TINY.replace("run_cap", f"{many}run_cap", 1))


MISFITS = {
    "in a mapping of its own": (
        ("{kind: digits}", "{kind: npz, path: x.npz, labels: {test: y_test}, test: null}"),
        "trial.data.labels.test: is y_test, but test is null: name both arrays, or neither",
        '    it reads: "y_test"',
    ),
    "of two parts": (
        ("latent: {kind: gaussian, size: 4}", "latent: {kind: gaussian, size: 4}, softmax: {kind: sampled}"),
        "trial.model.softmax.kind: sampled is for text, but data.kind: digits is image",
        '    it reads: "sampled"',
    ),
}


@pytest.mark.parametrize(("change", "told", "reads"), MISFITS.values(), ids=MISFITS)
def test_a_misfit_is_told_once_at_its_key(change: tuple[str, str], told: str, reads: str) -> None:
    assert change[0] in TINY
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(TINY.replace(*change))
    (first, *_) = caught.value.faults
    place, _, rest = str(first).partition(": ")
    line, column = map(int, place.split(":")[1:])
    assert rest.splitlines() == [told, reads]
    written = TINY.replace(*change).splitlines()[line - 1][column - 1 :]
    assert written.startswith(reads.split('"')[1])


def test_different_words_cannot_be_more_than_the_vocabulary() -> None:
    text = TINY.replace("{kind: digits}", "{kind: python_docs, vocabulary: {max_size: 500}}").replace(
        "kind: mlp, hidden: [32]", "kind: lstm"
    )
    head = text[: text.index("  objective.annealing:")].replace("size: 4}", "size: 4}, softmax: {kind: sampled, REPLACEMENT}")
    searched = head + "  model.softmax.samples: {values: [100, 501]}\n" + text[text.index("run_cap") :]
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(searched.replace("REPLACEMENT", "replacement: false"))
    (fault,) = caught.value.faults
    assert fault.path == "parameters.model.softmax.samples.values[1]"
    assert "501 different words cannot be drawn from data.vocabulary.max_size: 500" in fault.message
    assert parse_sweep(searched.replace("REPLACEMENT", "replacement: true"))


def test_a_semicolon_in_a_sentence_makes_no_second_fault() -> None:
    """The sentence on tied vectors goes on behind one, with a dotted name."""
    text = TINY.replace("{kind: digits}", "{kind: python_docs}")
    text = text.replace("encoder: {kind: mlp, hidden: [32]}", "encoder: {kind: lstm, word_vectors: {kind: character_cnn}}")
    text = text.replace("decoder: {kind: mlp, hidden: [32]}", "decoder: {kind: lstm, tie_embeddings: true}")
    with pytest.raises(SweepFileError) as caught:
        parse_sweep(text)
    assert not any(fault.message.startswith("model.decoder.embedding gives") for fault in caught.value.faults)
    assert any("; model.decoder.embedding gives the decoder one" in fault.message for fault in caught.value.faults)
