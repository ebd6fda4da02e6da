"""``seeds: N``: the driver's decisions over replicates, on a real study, killed and resumed at every moment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from orchestration.driver import Driver
from orchestration.messages import Job, Message
from orchestration.patient_storage import PatientStorage
from orchestration.replicates import ReplicatedSearch, make_search, resume_search
from orchestration.spec import SweepFileError, SweepSpec, load_sweep, spec_text
from orchestration.stored import assignments_of, complete_trials, open_storage, stored_names
from orchestration.study import Search
from tests.orchestration.test_driver import Heard

Score = Callable[[Mapping[str, Any], int], float]
"""Of a configuration under a seed; lower is better."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def spec_of(tiny: Path, *changes: str) -> SweepSpec:
    return load_sweep(tiny, ["method=tpe", "search={seed: 3, startup_trials: 2}", "seeds=3", "run_cap=12", *changes])


def driver_of(spec: SweepSpec, search: Search, directory: Path) -> tuple[Driver, Heard]:
    heard = Heard()
    return Driver(spec, search, heard, lambda number: directory / "trials" / str(number), {}), heard


def noisy(config: Mapping[str, Any], seed: int) -> float:
    """A bowl, and what the seed adds."""
    chance = hashlib.sha256(f"{seed}/{config['optimizer']['lr']}".encode()).digest()[0] / 255
    return 100 * float(config["optimizer"]["lr"]) + float(config["objective"]["beta"]) + 0.2 * chance


def words(job: Job, score: Score) -> Iterator[Message]:
    """What a worker says; its validation gets better by 1 an epoch."""
    value = score(job.config, job.config["seed"])
    yield Message("start", facts={"data.fingerprint": "f"})
    if value == float("inf"):
        yield Message("end", state="FAILED", reason="it diverged")
        return
    for epoch in (1, 2, 3):
        metrics = {"val/neg_elbo": value + 3 - epoch, "val/rate": value, "val/active_units": 4.0}
        yield Message("epoch", epoch=epoch, metrics=metrics, annealed=True)
    yield Message("final", epoch=3, metrics={"best/val/neg_elbo": value, "best/val/rate": value, "best/val/active_units": 4.0})
    yield Message("end", state="COMPLETE", seconds=1.0)


def train(driver: Driver, score: Score = noisy, at_once: int = 1, words_left: int = 10**9) -> bool:
    """Runs the sweep with so many workers, in turns; False where the driver was dropped after so many messages."""
    running: list[tuple[Job, Iterator[Message]]] = []
    while True:
        while len(running) < at_once and (job := driver.next_job()) is not None:
            running.append((job, words(job, score)))
        if not running:
            return True
        job, said = running.pop(0)
        if words_left == 0:
            return False
        words_left -= 1
        if driver.hear(job.number, next(said)):
            running.append((job, said))


def table(driver: Driver) -> list[tuple[Any, ...]]:
    return [(view.number, view.state, view.reason, view.value, view.assignment) for _, view in sorted(driver.trials.items())]


def told(url: str) -> list[tuple[Any, ...]]:
    """What the sampler has been told: of each point its parameters, state and value; attempts that were cut off left out."""
    study = optuna.load_study(study_name="tiny", storage=open_storage(url))
    return [(trial.params, trial.state, trial.values) for trial in study.trials if "outcome" in trial.user_attrs]


def test_each_point_is_trained_under_every_seed_and_told_once(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = spec_of(tiny, "trial.seed=7")
    search = make_search(spec, url, spec_text(spec))
    driver, _ = driver_of(spec, search, tmp_path)
    assert train(driver)
    assert [view.assignment["seed"] for view in driver.trials.values()] == [7, 8, 9] * 4
    points = [{name: at for name, at in view.assignment.items() if name != "seed"} for view in driver.trials.values()]
    assert all(points[number] == points[number // 3 * 3] for number in range(12))
    assert len({str(point) for point in points}) == 4
    means = [sum(driver.trials[3 * point + k].value or 0.0 for k in range(3)) / 3 for point in range(4)]
    assert [values for _, _, values in told(url)] == [[pytest.approx(mean)] for mean in means]
    best = driver.best()
    assert best is not None
    assert (best.number, best.value) == (3 * means.index(min(means)), pytest.approx(min(means)))
    assert driver.ended_by == "run_cap"
    assert driver.budget_used == "12 of 12 trials"


def test_two_workers_train_one_point_side_by_side(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = spec_of(tiny)
    search = make_search(spec, url, spec_text(spec))
    driver, _ = driver_of(spec, search, tmp_path)
    jobs = [driver.next_job() for _ in range(4)]
    assert [job.number for job in jobs if job] == [0, 1, 2, 3]
    states = [trial.state.name for trial in optuna.load_study(study_name="tiny", storage=open_storage(url)).trials]
    assert states == ["RUNNING", "RUNNING"], "the sampler sees two points, and no replicate"
    assert search.left == 12 - 4


def test_without_seeds_nothing_is_another(tiny: Path, url: str) -> None:
    """A study of before, made by ``Search`` itself, is gone on with as one of one seed."""
    spec = load_sweep(tiny)
    Search.create(spec, url, spec_text(spec)).ask()
    search = resume_search(spec, url)
    assert type(search) is Search
    assert search.ask() is not None
    assert stored_names(url) == ["tiny"]
    assert optuna.get_all_study_names(open_storage(url)) == ["tiny"]


def test_the_second_study_is_no_sweep(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = spec_of(tiny)
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    train(driver)
    assert stored_names(url) == ["tiny"]
    [first, *_] = complete_trials(spec, url)
    assert (first.number, first.data, len(complete_trials(spec, url))) == (0, "f", 4)
    assert assignments_of(spec, url, [5]) == {5: {n: at for n, at in driver.trials[3].assignment.items() if n != "seed"}}


@pytest.mark.parametrize(
    ("method", "bad"),
    [
        ("tpe", "is pruned"),
        *(
            pytest.param(*both, marks=pytest.mark.slow)
            for both in [("tpe", "none"), ("tpe", "fails"), ("tpe", "collapses"), ("grid", "is pruned"), ("grid", "collapses")]
        ),
    ],
)
def test_a_kill_at_many_words_changes_nothing(tiny: Path, tmp_path: Path, method: str, bad: str) -> None:
    """The driver is dropped after the first word that it hears, then after two more, after three more, and so on."""
    changes = [f"method={method}", "early_terminate={type: asha, min_epochs: 1, eta: 3}"]
    if method == "grid":
        changes.append("parameters={optimizer.lr: {values: [0.02, 0.01, 0.03]}, objective.beta: {values: [0.5, 0.1]}}")
        changes.append("run_cap=18")
    if bad == "collapses":
        changes.append("collapse={min_rate: 1.2, action: stop}")
    if bad != "is pruned":
        changes[1] = "budget={}"
    spec = spec_of(tiny, *changes)

    def score(config: Mapping[str, Any], seed: int) -> float:
        return float("inf") if bad == "fails" and seed == 1 and noisy(config, 0) > 1.2 else noisy(config, seed)

    whole = make_search(spec, f"sqlite:///{tmp_path / 'whole.db'}", spec_text(spec))
    undisturbed, _ = driver_of(spec, whole, tmp_path)
    assert train(undisturbed, score)
    states = {view.state for view in undisturbed.trials.values()}
    assert states >= {"none": {"COMPLETE"}, "fails": {"FAILED"}, "is pruned": {"PRUNED"}, "collapses": {"COLLAPSED"}}[bad]

    url = f"sqlite:///{tmp_path / 'cut.db'}"
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    lived = 1
    while not train(driver, score, words_left=lived):
        driver, _ = driver_of(spec, resume_search(spec, url), tmp_path)
        lived += 1  # a trial begins anew here: it would never end
    assert lived > 8
    assert table(driver) == table(undisturbed)
    assert told(url) == told(f"sqlite:///{tmp_path / 'whole.db'}")
    assert driver.budget_used == undisturbed.budget_used


@pytest.mark.parametrize(("order", "killed_at"), [("now", 1), ("now", 2), ("of before", 2)])
def test_a_kill_amid_the_end_of_the_last_replicate(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, killed_at: int
) -> None:
    """Its end and its point's are two transactions; an earlier version carried out the point's first."""
    spec = spec_of(tiny)
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("whole", "cut")]
    whole, _ = driver_of(spec, make_search(spec, urls[0], spec_text(spec)), tmp_path)
    assert train(whole)

    driver, _ = driver_of(spec, make_search(spec, urls[1], spec_text(spec)), tmp_path)
    assert not train(driver, words_left=17)
    own, done = PatientStorage.transact, 0

    def transact(self: PatientStorage, write: Any, durable: bool) -> Any:
        nonlocal done
        done += 1
        if done == killed_at:
            raise KeyboardInterrupt
        return own(self, write, durable)

    with monkeypatch.context() as patch:
        if order == "of before":
            patch.setattr(ReplicatedSearch, "together", Search.together)
        patch.setattr(PatientStorage, "transact", transact)
        with pytest.raises(KeyboardInterrupt):
            driver.hear(2, Message("end", state="COMPLETE", seconds=1.0))
    assert len(told(urls[1])) == (order == "of before")
    driver, _ = driver_of(spec, resume_search(spec, urls[1]), tmp_path)
    assert train(driver)
    assert table(driver) == table(whole)
    assert told(urls[1]) == told(urls[0])


WILCOXON = ["seeds=6", "run_cap=18", "method=grid", "early_terminate={type: wilcoxon}"]
"""Three configurations."""
LEARNING_RATES = "parameters={optimizer.lr: {values: [0.01, 0.02, 0.01001]}}"


def by_rate(config: Mapping[str, Any], seed: int) -> float:
    """Seeds matter little."""
    return 100 * float(config["optimizer"]["lr"]) + 0.01 * seed * (-1) ** seed


def test_a_worse_configuration_gets_no_further_seeds(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, [*WILCOXON, LEARNING_RATES])
    driver, heard = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    assert train(driver, by_rate)
    rates = {number: view.assignment["optimizer.lr"] for number, view in driver.trials.items()}
    assert list(rates.values()) == [0.01] * 6 + [0.02] * 4 + [0.01001] * 4
    assert driver.trials[9].reason == "no further seeds: worse than configuration 0, p = 0.0625 over 4 seeds"
    assert {view.state for view in driver.trials.values()} == {"COMPLETE"}
    assert heard.ended[-1] == (15, "COMPLETE")
    assert driver.budget_used == "14 of 14 trials"
    assert driver.ended_by == "grid"
    assert [state.name for _, state, _ in told(url)] == ["COMPLETE", "PRUNED", "PRUNED"]
    best = driver.best()
    assert best is not None
    assert best.number == 0


def test_the_best_is_not_stopped_nor_an_equal_one(tiny: Path, url: str, tmp_path: Path) -> None:
    """Of the second the scores are better, of the third they differ by chance."""
    spec = load_sweep(tiny, [*WILCOXON, "parameters={optimizer.lr: {values: [0.02, 0.01, 0.03]}}"])

    def score(config: Mapping[str, Any], seed: int) -> float:
        rate = float(config["optimizer"]["lr"])
        return 1.0 + 0.01 * seed * (-1) ** seed if rate == 0.03 else by_rate(config, 0)

    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    assert train(driver, score)
    assert len(driver.trials) == 18
    assert not any(view.reason for view in driver.trials.values())


def test_what_is_maximised_is_stopped_the_other_way(tiny: Path, url: str, tmp_path: Path) -> None:
    changes = [*WILCOXON, "parameters={optimizer.lr: {values: [0.01, 0.005, 0.02]}}"]
    spec = load_sweep(tiny, [*changes, "metric={name: val/mutual_information, goal: maximize}"])
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    while (job := driver.next_job()) is not None:
        value = by_rate(job.config, job.config["seed"])
        driver.hear(job.number, Message("start"))
        driver.hear(job.number, Message("final", epoch=3, metrics={"best/val/mutual_information": value}))
        driver.hear(job.number, Message("end", state="COMPLETE"))
    assert sorted(driver.trials) == [*range(10), *range(12, 18)]


@pytest.mark.parametrize("workers", [2, 3])
def test_several_workers_save_what_one_saves(tiny: Path, url: str, tmp_path: Path, workers: int) -> None:
    """A fifth seed is begun when the first four are judged, and another configuration meanwhile, as long as there is one."""
    rates = "parameters={optimizer.lr: {values: [0.01, 0.02, 0.01001, 0.03]}}"
    spec = load_sweep(tiny, [*WILCOXON, "run_cap=24", rates])
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    assert train(driver, by_rate, at_once=workers)
    spared = [number for number in range(18) if number not in driver.trials]
    assert spared == [10, 11, 16, 17], "as with one worker"
    assert driver.budget_used == f"{len(driver.trials)} of {len(driver.trials)} trials"


def test_a_seed_that_may_be_spared_waits_for_other_work_alone(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = load_sweep(tiny, [*WILCOXON, "run_cap=12", "parameters={optimizer.lr: {values: [0.01, 0.02]}}"])
    search = make_search(spec, url, spec_text(spec))
    driver, _ = driver_of(spec, search, tmp_path)
    jobs = [job for _ in range(12) if (job := driver.next_job()) is not None]
    assert [job.number for job in jobs] == list(range(12)), "twelve workers, and nothing else to do"
    assert search.left == 0

    spec = spec.model_copy(update={"name": "other", "run_cap": 18, "parameters": load_sweep(tiny, [LEARNING_RATES]).parameters})
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    jobs = [job for _ in range(14) if (job := driver.next_job()) is not None]
    first, second, third = list(range(6)), list(range(6, 10)), list(range(12, 16))
    assert [job.number for job in jobs] == [*first, *second, *third], "the first is what others are compared with"


@pytest.mark.parametrize(
    "words_left", [40, 75, pytest.param(20, marks=pytest.mark.slow), pytest.param(80, marks=pytest.mark.slow)]
)
def test_two_workers_and_a_kill(tiny: Path, url: str, tmp_path: Path, words_left: int) -> None:
    spec = load_sweep(tiny, [*WILCOXON, LEARNING_RATES])
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    assert not train(driver, by_rate, at_once=2, words_left=words_left)
    driver, _ = driver_of(spec, resume_search(spec, url), tmp_path)
    assert train(driver, by_rate, at_once=2)
    assert {view.state for view in driver.trials.values()} == {"COMPLETE"}
    assert sorted(driver.trials)[:10] == list(range(10))
    assert len(driver.trials) <= 15
    assert [state.name for _, state, _ in told(url)] == ["COMPLETE", "PRUNED", "PRUNED"]


@pytest.mark.parametrize("words_left", [59, 60, *(pytest.param(at, marks=pytest.mark.slow) for at in (1, 27, 61))])
def test_a_stop_by_seeds_survives_a_kill(tiny: Path, tmp_path: Path, words_left: int) -> None:
    spec = load_sweep(tiny, [*WILCOXON, LEARNING_RATES])
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("whole", "cut")]
    whole, _ = driver_of(spec, make_search(spec, urls[0], spec_text(spec)), tmp_path)
    train(whole, by_rate)
    driver, _ = driver_of(spec, make_search(spec, urls[1], spec_text(spec)), tmp_path)
    assert not train(driver, by_rate, words_left=words_left)
    driver, _ = driver_of(spec, resume_search(spec, urls[1]), tmp_path)
    assert train(driver, by_rate)
    assert table(driver) == table(whole)
    assert told(urls[1]) == told(urls[0])


def test_a_trial_that_is_pruned_ends_its_configuration_and_running_ones_go_on(tiny: Path, url: str, tmp_path: Path) -> None:
    """Two workers: of configuration 1, replicate 0 fails while replicate 1 trains; replicate 2 is never begun."""
    spec = spec_of(tiny)
    search = make_search(spec, url, spec_text(spec))
    driver, heard = driver_of(spec, search, tmp_path)
    for _ in range(3):
        job = driver.next_job()
        assert job is not None
        assert not all(driver.hear(job.number, message) for message in words(job, noisy))
    assert [job.number for job in (driver.next_job(), driver.next_job()) if job] == [3, 4]
    driver.lost(3, "the worker died")
    assert len(told(url)) == 1, "replicate 1 still trains"
    job = driver.next_job()
    assert job is not None
    assert job.number == 6, "replicate 2 is not begun: the configuration is decided"
    assert driver.hear(4, Message("epoch", epoch=1, metrics={"val/neg_elbo": 1.0}, annealed=True))
    driver.lost(4, "the worker died")
    assert [state.name for _, state, _ in told(url)] == ["COMPLETE", "FAIL"]
    assert (driver.total_trials, search.asked, search.left) == (11, 9, 11 - 6)
    assert [view.state for view in driver.winners()] == ["COMPLETE"]
    assert heard.ended == [(0, "COMPLETE"), (1, "COMPLETE"), (2, "COMPLETE"), (3, "FAILED"), (4, "FAILED")]

    resumed, _ = driver_of(spec, resume_search(spec, url), tmp_path)
    assert resumed.total_trials == 11
    job = resumed.next_job()
    assert job is not None
    assert job.number == 6


def test_a_target_is_reached_by_a_mean(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = spec_of(tiny, "budget={target: 2.0}")
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)

    def score(config: Mapping[str, Any], seed: int) -> float:
        return 1.0 + seed if len(driver.trials) <= 3 else 2.0 if seed else 1.0

    assert train(driver, score)
    assert len(driver.trials) == 3, "its mean is 2"
    assert driver.ended_by == "target: configuration 0 (trials 0 to 2) reached a mean val/neg_elbo of 2"
    resumed, _ = driver_of(spec, resume_search(spec, url), tmp_path)
    assert resumed.next_job() is None
    assert resumed.ended_by == driver.ended_by


def test_single_trials_reach_no_target(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = spec_of(tiny, "budget={target: 1.5}")
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    assert train(driver, lambda config, seed: 1.0 + seed)
    assert len(driver.trials) == 12
    assert driver.ended_by == "run_cap"


def test_a_bug_in_every_trial_is_seen_in_three_configurations(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = spec_of(tiny)
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    jobs = [driver.next_job() for _ in range(3)]
    for job in jobs:
        assert job is not None
        driver.lost(job.number, "out of memory")
    assert driver.next_job() is not None, "three trials of one configuration speak of it alone"
    driver.lost(3, "out of memory")
    assert driver.next_job() is not None
    driver.lost(6, "out of memory")
    assert driver.next_job() is None
    assert driver.ended_by == "same_failure: the first 5 trials failed alike: out of memory"


def test_an_outcome_constraint_has_to_hold_under_every_seed(tiny: Path, url: str, tmp_path: Path) -> None:
    spec = spec_of(tiny, "outcome_constraints=['val/rate < 2']", "run_cap=6")
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    assert train(driver, lambda config, seed: [0.1, 0.1, 2.5][seed] if len(driver.trials) <= 3 else 1.9)
    best = driver.best()
    assert best is not None
    assert (best.number, best.value) == (3, pytest.approx(1.9)), "the mean of the first, 0.9, would fulfil it"
    trials = [trial for trial in optuna.load_study(study_name="tiny", storage=open_storage(url)).trials if trial.values]
    assert [max(trial.constraints.values()) > 0 for trial in trials] == [True, False]
    resumed, _ = driver_of(spec, resume_search(spec, url), tmp_path)
    assert [view.number for view in resumed.winners()] == [3]


def test_several_metrics_have_a_pareto_set_of_means(tiny: Path, url: str, tmp_path: Path) -> None:
    metrics = "metrics=[{name: val/neg_elbo}, {name: val/rate, goal: maximize}]"
    tiny.write_text(tiny.read_text().replace("metric: {name: val/neg_elbo, goal: minimize}\n", ""))
    spec = load_sweep(tiny, ["seeds=2", "run_cap=8", metrics])
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    assert train(driver)
    assert sorted(view.number for view in driver.winners()) == [0, 2, 4, 6], "the score is the rate: each is a trade-off"
    assert [len(values) for _, _, values in told(url)] == [2] * 4
    resumed, _ = driver_of(spec, resume_search(spec, url), tmp_path)
    assert len(resumed.winners()) == 4
    assert resumed.next_job() is None


@pytest.mark.parametrize(
    ("changes", "place", "says"),
    [
        (["seeds=3"], "run_cap", "counts trials, 3 a configuration (seeds): take 3 or 6"),
        (["seeds=3", "run_cap=2"], "run_cap", "take 3 or more"),
        (["seeds=2", "parameters.seed={values: [1, 2]}"], "parameters.seed", "cannot be searched with seeds: 2"),
        (["seeds=2", "parameters.v={variants: {a: {}, b: {seed: 1}}}"], "parameters.v.variants.b.seed", "cannot be searched"),
        (["seeds=2", "trial.seed=2147483647"], "trial.seed", "must be at most 2147483646"),
        (["seeds=4", "early_terminate={type: wilcoxon}"], "seeds", "must be at least 5"),
        (["early_terminate={type: wilcoxon}"], "early_terminate.type", "seeds is missing, and must be at least 5"),
        (["seeds=4", "early_terminate={type: wilcoxon, p_threshold: 0.05}"], "seeds", "must be at least 6"),
        (["seeds=4", "early_terminate={type: wilcoxon, min_seeds: 7}"], "seeds", "must be at least 8"),
        (["seeds=101"], "seeds", "must be less than or equal to 100"),
    ],
)
def test_what_does_not_go_together_is_told_with_its_place(tiny: Path, changes: list[str], place: str, says: str) -> None:
    with pytest.raises(SweepFileError) as raised:
        load_sweep(tiny, changes)
    [fault] = [fault for fault in raised.value.faults if fault.path == place]
    assert says in fault.message
    assert len(raised.value.faults) == 1


def test_a_grid_has_its_points_times_the_seeds(tiny: Path, url: str, tmp_path: Path) -> None:
    tiny.write_text("\n".join(line for line in tiny.read_text().splitlines() if not line.startswith("run_cap")) + "\n")
    changes = ["method=grid", "seeds=3", "parameters={objective.beta: {values: [0.1, 0.5]}}"]
    spec = load_sweep(tiny, changes)
    assert spec.run_cap == 6
    driver, _ = driver_of(spec, make_search(spec, url, spec_text(spec)), tmp_path)
    train(driver)
    assert driver.ended_by == "grid"
    assert [view.assignment["objective.beta"] for view in driver.trials.values()] == [0.1] * 3 + [0.5] * 3
