"""A plan for the terminal, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestration.planning.figures import Estimate, Span
from orchestration.planning.plan import Plan

_INDENT = (0, 0, 0, 2)


def render(plan: Plan) -> RenderableType:
    """The whole plan."""
    blocks: list[RenderableType] = [Text(f"{plan.name}: {plan.question}" if plan.question else plan.name, style="bold")]
    blocks += _titled("space", _space(plan), *map(Text, _space_lines(plan)))
    table = [_trials(plan)] if any(one["known"] for one in plan.drawn) else []
    first = "trials" if plan.seeds == 1 else "configurations"
    blocks += _titled(f"first {first}, of {plan.trials // plan.seeds}", *table, *map(Text, _known(plan)))
    blocks += _titled("stopping", *_stopping(plan))
    if plan.estimate is None:
        blocks += _titled("cost", Text("not measured, and the data were not loaded: leave out --profile none to see it"))
    else:
        blocks += _titled("a trial, by what it computes", _variants(plan.estimate), *map(Text, _trial_lines(plan)))
        blocks += _titled("the sweep, on this machine", _cost(plan, plan.estimate))
    notes = [*plan.notes, *(plan.estimate.notes if plan.estimate else ())]
    if notes:
        blocks += _titled("not in these figures, or uncertain", *(Text(f"- {note}") for note in notes))
    return Group(*blocks)


def _titled(title: str, *body: RenderableType) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold cyan")
    yield from (Padding(part, _INDENT) for part in body)


def _table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def _space(plan: Plan) -> Table:
    table = _table("parameter", "values", "count", right=("count",))
    for row in plan.space:
        table.add_row(escape(row.name), escape(row.values), "continuous" if row.count is None else str(row.count))
    return table


def _space_lines(plan: Plan) -> Iterator[str]:
    points = "no grid: continuous" if plan.grid_points is None else f"grid of {plan.grid_points:,} points"
    bound = "" if plan.structures_exact else "up to "
    variants = "1 structural variant" if plan.structures == 1 else f"{bound}{plan.structures:,} structural variants"
    yield f"{points}; {variants}: combinations that differ in what is computed"
    each = f" ({plan.trials // plan.seeds} configurations x {plan.seeds} seeds)" if plan.seeds > 1 else ""
    yield f"{plan.trials} trials{each} by {plan.method}; {', '.join(plan.metrics)}"


def _trials(plan: Plan) -> Table:
    heading = "trial" if plan.seeds == 1 else "configuration"
    table = _table(heading, "parameters", right=(heading,))
    for one in plan.drawn:
        if one["known"]:
            table.add_row(str(one["number"]), escape(_parameters(one["parameters"])))
    return table


def _known(plan: Plan) -> Iterator[str]:
    shown = sum(one["known"] for one in plan.drawn)
    what, known, planned = "trials", plan.known // plan.seeds, plan.trials // plan.seeds
    if plan.seeds > 1:
        what = "configurations"
    if known < planned:
        first = "all depend" if known == 0 else f"{what} {known} to {planned - 1} depend"
        yield f"{first} on the results of earlier ones: not knowable before"
    if shown < known:
        yield f"{known - shown} more are known: --trials N shows them"
    if plan.impossible:
        yield f"{plan.impossible} of the drawn make no trial and will be FAILED"


def _parameters(assignment: dict[str, Any]) -> str:
    parts = []
    for name, value in assignment.items():
        *_, parent, leaf = ("", *name.split("."))
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        parts.append(f"{parent if leaf == 'kind' else leaf}={shown}")
    return ", ".join(parts)


def _stopping(plan: Plan) -> Iterator[RenderableType]:
    sized = plan.steps_per_epoch is not None
    yield Text(
        f"annealing has ended {'' if sized else 'about '}by epoch {_between(*plan.annealed_after)} of {_between(*plan.epochs)}; "
        "no trial is selected or judged before"
    )
    if plan.interval is not None:
        first = -(-plan.annealed_after[1] // plan.interval) * plan.interval
        barriers = ", ".join(map(str, range(first, plan.epochs[1], plan.interval))) or "none"
        takers = f"{plan.takers} of {plan.trials} may take over"
        yield Text(f"pbt stops none; barriers after epochs {barriers}, at each of which {takers}")
        return
    if plan.stopping in ("none", "wilcoxon"):
        rule = "no early termination" if plan.stopping == "none" else "wilcoxon judges whole trials"
        yield Text(f"{rule}: every trial has its whole length")
        return
    if plan.rungs:
        table = _table("rung, epoch", "trials get there", "still annealing", "go on", right=("rung, epoch", "trials get there"))
        table.columns[2].justify = table.columns[3].justify = "right"
        for rung in plan.rungs:
            table.add_row(str(rung.epoch), f"{rung.reach:.1f}", f"{rung.annealing:.1f}", f"{rung.go_on:.1f}")
        yield table
    yield Text(
        f"{plan.stopping} stops {plan.stopped:.1f} of {plan.trials} trials, if early ranks are final and no rank is likelier "
        "than another (the mean of many plays of the real rule)"
    )


def _variants(estimate: Estimate) -> Table:
    headings = ("trials", "ms a step", "s an epoch", "trial", "memory", "disk")
    table = _table("variant", *headings, right=headings)
    for variant in sorted(estimate.variants, key=lambda variant: -variant.trials)[:20]:
        cost, trial_s = variant.cost, variant.trial_s
        if cost is None or trial_s is None:
            table.add_row(escape(variant.label), str(variant.trials), "not", "measured", "", "", "")
            continue
        table.add_row(
            escape(variant.label),
            str(variant.trials),
            f"{1000 * cost.step_s:.3g}",
            f"{cost.epoch_s:.3g}",
            _time(trial_s),
            _size(cost.peak_bytes),
            _size(cost.artifact_bytes),
        )
    if len(estimate.variants) > 20:
        table.add_row(f"and {len(estimate.variants) - 20} more", *[""] * 6)
    return table


def _trial_lines(plan: Plan) -> Iterator[str]:
    estimate, steps, each = plan.estimate, plan.steps, plan.steps_per_epoch
    assert estimate is not None
    if estimate.data is not None:
        sizes = ", ".join(f"{name} {count:,}" for name, count in estimate.data["examples"].items())
        words = f"; {estimate.data['vocabulary']:,} words" if estimate.data["vocabulary"] else ""
        yield f"data {estimate.data['name']}: {sizes}{words}; {_size(estimate.data['bytes'])}, shared"
    if steps is not None and each is not None:
        yield f"{_between(*steps)} steps a trial: {_between(*plan.epochs)} epochs of {_between(*each)}"
    measured = [variant.cost for variant in estimate.variants if variant.cost is not None]
    yield (
        f"from {_between(*_ends([cost.steps_measured for cost in measured]))} timed steps a variant, "
        f"{100 * min(cost.validation_measured for cost in measured):.0f} % or more of validation, "
        f"{_between(*_ends([cost.importance_measured for cost in measured]))} examples of the test bound; "
        f"{estimate.measured_s:.0f} s in all"
    )


def _cost(plan: Plan, estimate: Estimate) -> Table:
    table = _table("", "")
    rows = [("at once", f"{plan.at_once} trials, by {plan.limited_by}")]
    stops = plan.stopping not in ("none", "pbt") or estimate.started < plan.trials
    rows.append(("wall time", _span_of(estimate.wall_s, _time)))
    if stops:
        rows.append(("  nothing stopped", _span_of(estimate.whole_wall_s, _time)))
    rows.append((f"{estimate.device} hours", _span_of(estimate.device_hours, _hours)))
    if stops:
        rows.append(("  nothing stopped", _span_of(estimate.whole_device_hours, _hours)))
    if estimate.started < plan.trials - 0.5:
        trials = f"{estimate.started:.0f} of {plan.trials} trials have been started"
        rows.append(("budget", f"{estimate.ended_by} ends it after {trials}"))
    low, high = estimate.peak_bytes
    if high:
        memory = _size(high) if _size(low) == _size(high) else f"{_size(low)} to {_size(high)}"
        rows.append(("memory", f"{memory} a trial at its peak, above the shared data; {_size(estimate.memory_bytes)} free"))
    if estimate.gpu_peak_bytes:
        rows.append(("GPU memory", f"{_size(estimate.gpu_peak_bytes)} a trial that torch holds; CUDA's own comes on top"))
    fit = ", ".join(f"{count} by {name}" for name, count in estimate.fit.items())
    short = " - fewer than run at once!" if min(estimate.fit.values()) < plan.at_once else ""
    rows.append(("fit here", fit + short))
    checkpoint = max(variant.cost.checkpoint_bytes for variant in estimate.variants if variant.cost is not None)
    rows.append(
        (
            "disk",
            f"{_size(estimate.disk_peak_bytes)} at most, {_size(estimate.disk_kept_bytes)} kept: artifacts of "
            f"{estimate.finished:.0f} finished trials; a checkpoint has {_size(checkpoint)}, three a running trial",
        )
    )
    for name, value in rows:
        table.add_row(Text(name, style="dim"), value)
    table.show_header = False
    table.columns[0].no_wrap = True
    return table


def _span_of(span: Span, shown: Any) -> str:
    low, mean, high = shown(span.low), shown(span.mean), shown(span.high)
    return f"about {mean}" if low == high == mean else f"about {mean} ({low} to {high})"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _hours(hours: float) -> str:
    return f"{hours:.2g}" if hours < 10 else f"{hours:.0f}"


def _size(count: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} B"


def _between(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _ends(values: list[int]) -> tuple[int, int]:
    return min(values), max(values)
