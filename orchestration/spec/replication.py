"""``seeds``: the seeds of a configuration's replicates, and what does not go with them."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.spec.confirmation import SEED
from orchestration.spec.early_terminate import Wilcoxon
from orchestration.spec.faults import Fault
from orchestration.spec.parameters import Variants
from orchestration.spec.search_space import SearchSpace
from orchestration.spec.sections import SweepSpec
from orchestration.spec.yaml_source import Source
from vae_core.config import TrialConfig
from vae_core.configurable import flatten

MAX_SEED = 2**31 - 1


def first_seed(spec: SweepSpec) -> int:
    """Of replicate 0; replicate k has the one k above it."""
    return int(spec.trial.get(SEED, TrialConfig.model_fields[SEED].default))


def replication_faults(source: Source, spec: SweepSpec) -> Iterator[Fault]:
    """Every fault of ``seeds`` with the rest of the file; ``spec`` may lack sections that are faulty themselves."""
    if spec.seeds > 1:
        yield from _searched_seed(source, spec)
        yield from _odd_cap(source, spec)
        last = first_seed(spec) + spec.seeds - 1 if isinstance(spec.trial.get(SEED, 0), int) else 0
        if last > MAX_SEED:
            most = MAX_SEED - spec.seeds + 1
            yield source.fault(("trial", SEED), f"must be at most {most}, for {spec.seeds} seeds are counted from it on (seeds)")
    if isinstance(spec.early_terminate, Wilcoxon):
        yield from _too_few(source, spec, spec.early_terminate)


def _searched_seed(source: Source, spec: SweepSpec) -> Iterator[Fault]:
    message = f"cannot be searched with seeds: {spec.seeds}, by which every configuration is trained under the same seeds"
    for name, parameter in spec.parameters.items():
        if isinstance(parameter, Variants):
            for variant, change in parameter.variants.items():
                if SEED in flatten(change):
                    yield source.fault(("parameters", name, "variants", variant, SEED), message, key=True)
        elif SEED in SearchSpace({name: parameter}).names:
            yield source.fault(("parameters", name), message, key=True)


def _odd_cap(source: Source, spec: SweepSpec) -> Iterator[Fault]:
    cap = source.tree.get("run_cap")
    if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1 or cap % spec.seeds == 0:
        return
    yield source.fault(("run_cap",), f"counts trials, {spec.seeds} a configuration (seeds): {multiples(cap, spec.seeds)}")


def multiples(cap: int, seeds: int) -> str:
    """The nearest numbers of trials that are whole configurations, as advice."""
    below = cap // seeds * seeds
    return f"take {below} or {below + seeds}" if below else f"take {below + seeds} or more"


def _too_few(source: Source, spec: SweepSpec, rule: Wilcoxon) -> Iterator[Fault]:
    if spec.seeds > rule.first_seeds:
        return
    path, begin = (("seeds",), "") if "seeds" in source.tree else (("early_terminate", "type"), "seeds is missing, and ")
    yield source.fault(
        path,
        f"{begin}must be at least {rule.first_seeds + 1}: wilcoxon can stop nothing before {rule.first_seeds} seeds"
        f" (p_threshold {rule.p_threshold:g}, min_seeds {rule.min_seeds}), and then some must be left to save",
    )
