"""Train the contestants of a job: candidates, random control and rivals from scratch, the probe and the tail.

Val chooses on all sides, and in the same way; what breaks a limit is not trained.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from branches.compression import on_trunk
from branches.costs.module import macs, parameters
from foundation.provenance import seed_of
from nas.candidates import Candidate, Searched
from nas.errors import SearchError
from nas.job.choosing.choice import choose_kind, ranked_first, run_of
from nas.job.choosing.racing import Run, near_best, race
from nas.job.choosing.shrunk import Shrunk, shrunk
from nas.job.choosing.winner import Choice, Entry, choose
from nas.job.gains import spread_of
from nas.job.results import Contestant, measured_latencies
from nas.job.stages.folds import CrossValidation, cross_validation, rarest_val
from nas.job.stages.work import bounded_tail
from nas.job.trainings import Trained, Trainings
from nas.limits.latency import Latencies
from nas.limits.limits import Cost, Limits, written
from nas.settings import JobData, JobSettings
from search_spaces import Architecture, Space


def train_all(
    data: JobData,
    settings: JobSettings,
    search: Searched,
    candidates: Sequence[Candidate],
    rivals: Mapping[str, Sequence[Candidate]],
    trainings: Trainings,
    latencies: Latencies,
) -> tuple[dict[str, Contestant], list[dict[str, Any]], dict[str, Any], list[list[float]]]:
    """Every training of the job: the contestants, the retrained candidates, how the winner was chosen, and val figures.

    Of the retrained candidates `settings.winner` picks one by val, and of the controls' architectures in the same way;
    of these and the baselines `settings.choice` then picks the result, which comes first, as "winner". The figures are
    those of every architecture that was trained, group by group.
    """
    metric, limits = settings.search.reward, settings.search.limits
    cross = cross_validation(data, settings, trainings)
    labels = data.val.labels.numpy() if cross is None else cross.labels
    runs: dict[str, list[Run]] = {}

    def retrain(role: str, index: int, architecture: Architecture, **fields: Any) -> tuple[Architecture, Trained]:
        parameter_count, mac_count = search.costs(architecture)
        fields = {"role": role, "index": index, "macs": mac_count, **fields}
        name = f"{role}-{index}"
        trained = trainings.branch("retraining", name, architecture, settings.retrain, **fields)
        assert trained.record["parameters"] == parameter_count
        return architecture, trained

    def trained_again(role: str, architecture: Architecture, first: Trained, times: int) -> list[Trained]:
        """The first training and more of the same, ``times`` in all."""
        name = f"{'candidate' if role == 'winner' else role}-{first.record['index']}"
        more = [
            trainings.branch("repeat", f"{name}-repeat{n}", architecture, settings.retrain, of=role)
            for n in range(1, times)
        ]
        return [first, *more]

    def best(role: str, retrained: list[tuple[Architecture, Trained]]) -> Choice:
        seed = seed_of(search.seed, "winner") % 2**32
        firsts = [run_of(trained, metric) for _, trained in retrained]
        if cross is not None:
            firsts = [crossed(role, architecture, first) for architecture, first in retrained]
        runs[role] = firsts
        several = settings.near_trainings > 1 and cross is None
        close = near_best(firsts, labels, metric, seed=seed) if several else []
        entries = []
        for place, (architecture, first) in enumerate(retrained):
            times = settings.near_trainings if place in close and len(close) > 1 else 1
            again = trained_again(role, architecture, first, times)[1:]
            mean = float(np.mean([firsts[place].score, *(trained.score(metric) for trained in again)]))
            entries.append(Entry(mean, firsts[place].probabilities, search.costs(architecture)[0]))
        if len(close) > 1:  # the others lie behind by more than their images tell: one training each is enough
            entries = [entry if place in close else entry._replace(score=-1.0) for place, entry in enumerate(entries)]
        chosen = choose(
            entries,
            labels,
            metric,
            rule=settings.winner,
            tolerance=settings.winner_tolerance,
            seed=seed,
        )
        told = f"{len(close)} near equals were trained {settings.near_trainings} times, and their mean counts; "
        return chosen._replace(reason=f"{told if len(close) > 1 else ''}{chosen.reason}")

    def crossed(role: str, architecture: Architecture, first: Trained) -> Run:
        assert cross is not None
        fields = {"of": role, "bounded": {"folds": len(cross.folds)}}
        name = f"{'candidate' if role == 'winner' else role}-{first.record['index']}"
        return cross.run(name, lambda own, fold: own.branch("fold", fold, architecture, settings.retrain, **fields))

    dropped: list[dict[str, Any]] = []

    def finalists(
        role: str, ranked: Sequence[Architecture], final: int, *, shared: Sequence[float] = (), apart: float = 1.0
    ) -> list[tuple[Architecture, Trained]]:
        # As many race on every side.
        selected = select(ranked, max(final, settings.raced), limits, search.costs, latencies, role=role, apart=apart)
        dropped.extend(selected.dropped)
        if role == "candidate":
            require_some(selected, limits, len(ranked))

        def short(rung: int, index: int, epochs: int) -> Run:
            architecture = ranked[selected.ranks[index]]
            fields = {"role": role, "index": index, "bounded": {"epochs": epochs}}
            short = replace(settings.retrain, epochs=epochs)
            trained = trainings.branch("race", f"{role}-{index}-race{rung}", architecture, short, **fields)
            return Run(trained.score(metric), trained.val_scores)

        left = race(
            range(len(selected.ranks)),
            final,
            settings.retrain.epochs,
            short,
            data.val.labels.numpy(),
            metric,
            seed=seed_of(search.seed, "race") % 2**32,
        )
        return [
            retrain(role, index, ranked[rank], shared_score=shared[rank] if shared else None)
            for index, rank in enumerate(selected.ranks)
            if index in left
        ]

    proposed, scores = [c.architecture for c in candidates], [c.score for c in candidates]
    apart = settings.finalists_apart
    drawn: list[Architecture] = []
    if settings.random:
        rng = np.random.default_rng(seed_of(search.seed, "random control"))
        draw = search.allowed.uniform if search.allowed else settings.space.random
        drawn = draw_distinct(settings.space, control_draws(settings), rng, draw)
    others = {strategy: [c.architecture for c in proposals] for strategy, proposals in rivals.items()}
    controls: dict[str, Contestant] | None = None
    if limits.latency_ms:
        # What the limit asks for is timed before it is trained; what it will be set beside is timed in the same rounds.
        controls = baselines(data, settings, trainings)
        measured_latencies(data, controls, latencies, in_turn([proposed, drawn, *others.values()]))
    top = finalists("candidate", proposed, settings.retrain_top, shared=scores, apart=apart)
    over_limits = len(dropped)
    groups = {"winner": top}
    if settings.random:
        groups["random"] = finalists("random", drawn, len(top))
    for strategy, architectures in others.items():
        groups[strategy] = finalists(strategy, architectures, settings.retrain_top)
    contestants: dict[str, Contestant] = {}
    reasons: dict[str, str] = {}
    chosen_by: dict[str, Run] = {}
    for role, group in groups.items():
        if group:
            position, reasons[role] = best(role, group)
            architecture, first = group[position]
            repeats = trained_again(role, architecture, first, settings.repeats)
            key = "searched" if role == "winner" else role
            contestants[key] = Contestant(repeats, *search.costs(architecture), architecture, key)
            chosen_by[key] = runs[role][position]
    controls = baselines(data, settings, trainings) if controls is None else controls
    contestants |= controls
    chosen_by |= {key: run_of(control.trainings[0], metric) for key, control in controls.items()}
    if cross is not None:
        chosen_by |= {key: crossed_control(data, settings, cross, key) for key in controls}
    ranked = [
        {"identity": architecture.identity, "shared": trained.record["shared_score"], "val": trained.score(metric)}
        for architecture, trained in top
    ]

    def latency_ms(name: str) -> float:
        return measured_latencies(data, contestants, latencies)[name].milliseconds

    choice = choose_kind(
        data, settings, contestants, seed=search.seed, latency_ms=latency_ms, runs=chosen_by, labels=labels
    )
    lucky = None
    if contestants[choice.key].searchable:
        seeds = spread_of([[trained.score(metric) for trained in each.trainings] for each in contestants.values()])
        every = [run for group in runs.values() for run in group]
        seed = seed_of(search.seed, "shrunk") % 2**32
        lucky = shrunk(chosen_by[choice.key].score, every, labels, metric, spread=seeds, seed=seed)
    selection = selection_sentence(
        candidates=len(candidates),
        trained=len(top),
        raced=settings.raced,
        judge=settings.judge,
        dropped=over_limits,
        limits=limits,
        metric=metric,
        reason=f"{crossed_words(cross, data)}{reasons['winner']}; {choice.reason}{lucky_words(lucky, metric)}",
        threshold_by=settings.threshold_by,
        apart=apart,
    )
    chosen = {"selection": selection, "choice": choice.record(settings), "limits": dict(limits.set), "dropped": dropped}
    if lucky is not None:
        chosen["val_shrunk"] = lucky.record()
    figures = [[trained.score(metric) for _, trained in group] for group in groups.values()]
    return ranked_first(contestants, choice.key), ranked, chosen, figures


def crossed_control(data: JobData, settings: JobSettings, cross: CrossValidation, key: str) -> Run:
    """The probe or the tail by cross-validation."""
    bound = {"folds": len(cross.folds)}

    def train(own: Trainings, name: str) -> Trained:
        tail = bounded_tail(data, settings)
        if key == "tail" and tail is not None and data.tail is not None:
            whole = {**bound, "epochs": tail.epochs, "max_steps": tail.max_steps}
            return own.tail(name, data.tail, tail, kind="fold", of=key, bounded=whole)
        return own.probe(settings.search.reward, kind="fold", name=name, of=key, bounded=bound)

    return cross.run(key, train)


def crossed_words(cross: CrossValidation | None, data: JobData) -> str:
    """That val did not choose, where it did not."""
    if cross is None:
        return ""
    return (
        f"val has {rarest_val(data)} images of one value, so {len(cross.folds)}-fold cross-validation over train and "
        f"val chose, and its figures stand here for those of val: "
    )


def lucky_words(lucky: Shrunk | None, metric: str) -> str:
    """What the score is worth once it is seen as the pick of several."""
    if lucky is None:
        return ""
    return f"; shrunk for having been picked of {lucky.of}, its val {metric} is {lucky.score:.4f}"


def in_turn(groups: Sequence[Sequence[Architecture]]) -> list[Architecture]:
    """The first of each group, then the second of each: what is likely to be chosen is timed together."""
    return [architecture for row in zip_longest(*groups) for architecture in row if architecture is not None]


def baselines(data: JobData, settings: JobSettings, trainings: Trainings) -> dict[str, Contestant]:
    """Train or read back ``linear_probe`` and ``tail``, those of them that `settings` want and `data` allow.

    Where the features hold averages of other depths there are two probes: on the cut's own, and ``joined_probe``.
    """
    controls = {}
    if settings.probe:
        controls["linear_probe"] = contestant(data, "linear_probe", trainings.probe(settings.search.reward))
        if data.train.context:
            joined = trainings.probe(settings.search.reward, joined=True)
            controls["joined_probe"] = contestant(data, "joined_probe", joined)
    if (tail := bounded_tail(data, settings)) is not None and data.tail is not None:
        bound: dict[str, Any] = (
            {} if tail == settings.tail else {"bounded": {"epochs": tail.epochs, "max_steps": tail.max_steps}}
        )
        controls["tail"] = contestant(data, "tail", trainings.tail("tail", data.tail, tail, **bound))
    return controls


def contestant(data: JobData, key: str, trained: Trained) -> Contestant:
    """One training with the costs of its module as it is deployed, on the trunk's own features."""
    module: nn.Module = on_trunk(trained.module, data.train.features)
    return Contestant([trained], parameters(module), macs(module, data.train.trunk_shape), key=key)


class Selected(NamedTuple):
    """The ranks (from 0) of the chosen architectures, and a record of each that was dropped on the way."""

    ranks: list[int]
    dropped: list[dict[str, Any]]


def select(
    architectures: Sequence[Architecture],
    count: int,
    limits: Limits,
    costs: Callable[[Architecture], tuple[int, int]],
    latencies: Latencies,
    *,
    role: str,
    apart: float = 1.0,
) -> Selected:
    """The first `count` architectures within the limits, in order; latency is measured where it is limited.

    One whose parameters differ by less than the factor `apart` from those of a better one waits until no other is left.
    """
    ranks: list[int] = []
    sizes: list[int] = []
    waiting: list[int] = []
    dropped: list[dict[str, Any]] = []

    def fits(architecture: Architecture) -> bool:
        latency_ms = latencies.of([architecture])[0].milliseconds if limits.latency_ms else None
        cost = Cost(*costs(architecture), latency_ms)
        if broken := limits.broken(cost):
            reasons = (f"{written(name, getattr(cost, name))}, allowed are {limits.set[name]:,g}" for name in broken)
            dropped.append(
                {"role": role, "identity": architecture.identity, **cost._asdict(), "reason": "; ".join(reasons)}
            )
        return not broken

    for rank, architecture in enumerate(architectures):
        if len(ranks) == count:
            break
        size = costs(architecture)[0]
        if any(max(size, other) < apart * min(size, other) for other in sizes):
            waiting.append(rank)
        elif fits(architecture):
            ranks.append(rank)
            sizes.append(size)
    for rank in waiting:
        if len(ranks) < count and fits(architectures[rank]):
            ranks.append(rank)
    return Selected(sorted(ranks), dropped)


def require_some(selected: Selected, limits: Limits, count: int) -> None:
    """Raises SearchError when none of the `count` candidates is within the limits."""
    if selected.ranks:
        return
    least = " and ".join(written(name, min(record[name] for record in selected.dropped)) for name in limits.set)
    raise SearchError(
        f"None of the {count} candidates has {limits.text} on this device; the least of each among them is {least}: "
        "raise the limit that is too low, or allow smaller widths."
    )


def selection_sentence(
    *,
    candidates: int,
    trained: int,
    judge: str,
    dropped: int,
    limits: Limits,
    metric: str,
    reason: str,
    threshold_by: str,
    apart: float = 1.0,
    raced: int = 0,
) -> str:
    """How the winner was found, with the figures that applied."""
    kept = f" with {limits.text}" if limits else ""
    over = f" ({dropped} more were dropped, measured outside the limits)" if dropped else ""
    sizes = f", {apart:g} x apart in parameters while there are such," if apart > 1 else ""
    took = f"raced by short trainings, and {trained} of them " if raced else ""
    return (
        f"Of {candidates} candidates{kept}, the {raced or trained} that {judge} highest by val {metric}{sizes}{over} "
        f"{took}were trained from scratch; {reason}. The threshold maximises {threshold_by} on val. Test was measured "
        "once, at the end."
    )


def control_draws(settings: JobSettings) -> int:
    """How many random architectures are drawn for the control: some will be dropped where latency is limited."""
    return max(settings.retrain_top, settings.raced) * (3 if settings.search.limits.latency_ms else 1)


def draw_distinct(
    space: Space,
    count: int,
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], Architecture] | None = None,
) -> list[Architecture]:
    """``count`` different random architectures, or as many as the space holds, or as ``draw`` finds of it."""
    distinct: dict[object, Architecture] = {}
    draw = draw or space.random
    for _ in range(1000 * count):
        if len(distinct) == min(count, space.size):
            break
        architecture = draw(rng)
        distinct.setdefault(space.key(architecture), architecture)
    return list(distinct.values())
