"""Every training of a job: the candidates, the random control and the rivals from scratch, the probe and the tail.

Val chooses on all sides, and in the same way; what breaks a limit is not trained.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nas.baselines import baselines
from nas.candidates import Candidate
from nas.latencies import Latencies
from nas.results import Contestant
from nas.seeds import seed_of
from nas.selection import described, require_some, select
from nas.settings import JobData, JobSettings
from nas.stage import Searched
from nas.trainings import Trained, Trainings
from nas.winner import Choice, Entry, choose
from search_spaces import Architecture, Space


def train_all(
    data: JobData,
    settings: JobSettings,
    search: Searched,
    candidates: Sequence[Candidate],
    rivals: Mapping[str, Sequence[Candidate]],
    trainings: Trainings,
    latencies: Latencies,
) -> tuple[dict[str, Contestant], list[dict[str, Any]], dict[str, Any]]:
    """Every training of the job: the contestants, the retrained candidates, and how the winner was chosen.

    Of the retrained candidates `settings.winner` picks one by val, and of the controls' architectures in the same way.
    """
    metric, limits = settings.search.reward, settings.search.limits

    def retrain(role: str, index: int, architecture: Architecture, **fields: Any) -> tuple[Architecture, Trained]:
        parameter_count, mac_count = search.costs(architecture)
        fields = {"role": role, "index": index, "macs": mac_count, **fields}
        name = f"{role}-{index}"
        trained = trainings.branch("retraining", name, architecture, settings.retrain, **fields)
        assert trained.record["parameters"] == parameter_count
        return architecture, trained

    def best(retrained: list[tuple[Architecture, Trained]]) -> Choice:
        entries = [
            Entry(trained.score(metric), trained.val_scores, search.costs(architecture)[0])
            for architecture, trained in retrained
        ]
        return choose(
            entries,
            data.val.labels.numpy(),
            metric,
            rule=settings.winner,
            tolerance=settings.winner_tolerance,
            seed=seed_of(search.seed, "winner") % 2**32,
        )

    def repeated(of: str, name: str, architecture: Architecture, first: Trained) -> list[Trained]:
        more = [
            trainings.branch("repeat", f"{name}-repeat{n}", architecture, settings.retrain, of=of)
            for n in range(1, settings.repeats)
        ]
        return [first, *more]

    proposed = [candidate.architecture for candidate in candidates]
    apart = settings.finalists_apart
    selected = select(proposed, settings.retrain_top, limits, search.costs, latencies, role="candidate", apart=apart)
    require_some(selected, limits, len(candidates))
    dropped = selected.dropped
    top = [
        retrain("candidate", index, candidate.architecture, shared_score=candidate.score)
        for index, candidate in enumerate(candidates[place] for place in selected.places)
    ]
    random: list[tuple[Architecture, Trained]] = []
    if settings.random:
        rng = np.random.default_rng(seed_of(search.seed, "random control"))
        draw = search.allowed.uniform if search.allowed else settings.space.random
        drawn = draw_distinct(settings.space, control_draws(settings), rng, draw)
        kept = select(drawn, len(top), limits, search.costs, latencies, role="random")
        dropped = dropped + kept.dropped
        random = [retrain("random", index, drawn[place], shared_score=None) for index, place in enumerate(kept.places)]
    others: dict[str, list[tuple[Architecture, Trained]]] = {}
    for strategy, found in rivals.items():
        proposed = [candidate.architecture for candidate in found]
        kept = select(proposed, settings.retrain_top, limits, search.costs, latencies, role=strategy)
        dropped = dropped + kept.dropped
        others[strategy] = [
            retrain(strategy, index, proposed[place], shared_score=None) for index, place in enumerate(kept.places)
        ]
    contestants: dict[str, Contestant] = {}
    reasons: dict[str, str] = {}
    for role, group in (("winner", top), ("random", random), *others.items()):
        if group:
            place, reason = best(group)
            architecture, first = group[place]
            source = "candidate" if role == "winner" else role
            reasons[role] = reason
            runs = repeated(role, f"{source}-{place}", architecture, first)
            contestants[role] = Contestant(runs, *search.costs(architecture), architecture)
    contestants |= baselines(data, settings, trainings)
    ranked = [
        {"identity": architecture.identity, "shared": trained.record["shared_score"], "val": trained.score(metric)}
        for architecture, trained in top
    ]
    selection = described(
        candidates=len(candidates),
        trained=len(top),
        judge=settings.judge,
        dropped=len(selected.dropped),
        limits=limits,
        metric=metric,
        reason=reasons["winner"],
        threshold_by=settings.threshold_by,
        apart=apart,
    )
    return contestants, ranked, {"selection": selection, "limits": dict(limits.set), "dropped": dropped}


def control_draws(settings: JobSettings) -> int:
    """How many random architectures are drawn for the control: some will be dropped where latency is limited."""
    return settings.retrain_top * (3 if settings.search.limits.latency_ms else 1)


def draw_distinct(
    space: Space,
    count: int,
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], Architecture] | None = None,
) -> list[Architecture]:
    """``count`` different random architectures, or as many as the space holds, or as ``draw`` finds of it."""
    found: dict[object, Architecture] = {}
    draw = draw or space.random
    for _ in range(1000 * count):
        if len(found) == min(count, space.size):
            break
        architecture = draw(rng)
        found.setdefault(space.key(architecture), architecture)
    return list(found.values())
