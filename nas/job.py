"""One attribute's search, all the way: shared weights and controller, candidates, trainings, controls, one test.

The val split decides everything (reward, ranking, weights kept, winner, threshold); the test split is measured once, at
the end. Every stage leaves its work in the folder, so that a killed job called again continues, and ends the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from branches.branch import Branch
from branches.costs import macs, parameters
from nas.candidates import Candidate, candidates_history, rank_candidates
from nas.collapse import collapse
from nas.enas import Progress, Search
from nas.history import read_history
from nas.results import Contestant, measure_all, score_of, stage_seconds
from nas.seeds import seed_of
from nas.settings import JobData, JobSettings
from nas.trainings import Trained, Trainings
from nas.warm_start import Start
from search_spaces import Architecture, Space


def run_job(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    start: Start | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Branch]:
    """Run or continue the job in ``folder``; ``start``: what a new search starts from, None for a cold start.

    Returns:
        The records of ``result.json`` that the search itself knows, and the winning branch with its weights.
    """
    search = Search(
        settings.space, data.train, data.val, settings.search, folder=folder, seed=seed, device=device, start=start
    )
    search.run(progress=progress)
    candidates = rank_candidates(search, settings.candidates, progress=progress)
    trainings = Trainings(
        data.train,
        data.val,
        folder=folder,
        history=search.history,
        finished=candidates_history(folder),
        seed=seed,
        device=device,
        threshold_by=settings.threshold_by,
        progress=progress,
    )
    contestants, ranked = train_all(data, settings, search, candidates, trainings)
    result = measure_all(data, settings, contestants, seed=seed, device=device)
    branch = contestants["winner"].trainings[0].module
    assert isinstance(branch, Branch)
    history = read_history(folder / "history.jsonl")
    result["retrained"] = ranked
    proposed = [candidate.architecture for candidate in candidates]
    result["collapse"] = collapse(
        history, proposed, settings.space, asked=settings.candidates, metric=settings.search.reward
    )
    result["seconds"] = stage_seconds(history)
    return result, branch


def train_all(
    data: JobData, settings: JobSettings, search: Search, candidates: Sequence[Candidate], trainings: Trainings
) -> tuple[dict[str, Contestant], list[dict[str, Any]]]:
    """Every training of the job; the winner is the retrained candidate with the best val score."""
    metric = settings.search.reward

    def retrain(role: str, index: int, architecture: Architecture, **fields: Any) -> tuple[Architecture, Trained]:
        parameter_count, mac_count = search.costs(architecture)
        fields = {"role": role, "index": index, "macs": mac_count, **fields}
        name = f"{role}-{index}"
        trained = trainings.branch("retraining", name, architecture, settings.retrain, **fields)
        assert trained.record["parameters"] == parameter_count
        return architecture, trained

    def best(retrained: list[tuple[Architecture, Trained]]) -> int:
        # Ties go to the smaller branch.
        return max(
            range(len(retrained)), key=lambda n: (score_of(retrained[n][1], metric), -search.costs(retrained[n][0])[0])
        )

    def repeated(of: str, name: str, architecture: Architecture, first: Trained) -> list[Trained]:
        more = [
            trainings.branch("repeat", f"{name}-repeat{n}", architecture, settings.retrain, of=of)
            for n in range(1, settings.repeats)
        ]
        return [first, *more]

    top = [
        retrain("candidate", index, candidate.architecture, shared_score=candidate.score)
        for index, candidate in enumerate(candidates[: settings.retrain_top])
    ]
    random: list[tuple[Architecture, Trained]] = []
    if settings.random:
        rng = np.random.default_rng(seed_of(search.seed, "random control"))
        random = [
            retrain("random", index, architecture, shared_score=None)
            for index, architecture in enumerate(draw_distinct(settings.space, len(top), rng))
        ]
    contestants: dict[str, Contestant] = {}
    for role, group in (("winner", top), ("random", random)):
        if group:
            place = best(group)
            architecture, first = group[place]
            source = "candidate" if role == "winner" else "random"
            runs = repeated(role, f"{source}-{place}", architecture, first)
            contestants[role] = Contestant(runs, *search.costs(architecture), architecture)
    shape = data.train.features.shape
    if settings.probe:
        trained = trainings.probe(metric)
        contestants["linear_probe"] = Contestant([trained], trained.record["parameters"], macs(trained.module, shape))
    if settings.tail is not None and data.tail is not None:
        trained = trainings.tail("tail", data.tail, settings.tail)
        contestants["tail"] = Contestant([trained], parameters(trained.module), macs(trained.module, shape))
    ranked = [
        {"identity": architecture.identity, "shared": trained.record["shared_score"], "val": score_of(trained, metric)}
        for architecture, trained in top
    ]
    return contestants, ranked


def draw_distinct(space: Space, count: int, rng: np.random.Generator) -> list[Architecture]:
    """``count`` different random architectures, or as many as the space holds."""
    found: dict[object, Architecture] = {}
    for _ in range(1000 * count):
        if len(found) == min(count, space.size):
            break
        architecture = space.random(rng)
        found.setdefault(space.key(architecture), architecture)
    return list(found.values())
