"""One attribute's search, all the way: shared weights and controller, candidates, trainings, controls, one test.

The val split decides everything (reward, ranking, weights kept, winner, threshold); the test split is measured once, at
the end. Every stage leaves its work in the folder, so that a killed job called again continues, and ends the same.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foundation.history import read_history
from foundation.progress import Progress
from nas.candidates import Candidate, candidates_history, own_proposals, rank_candidates
from nas.collapse import collapse
from nas.contest import train_all
from nas.enas import Search
from nas.kept_scores import keep_scores
from nas.latencies import Latencies
from nas.limits import Cost
from nas.pareto import front
from nas.results import measure_all, measured_latencies, stage_seconds
from nas.settings import BY_HAND, JobData, JobSettings
from nas.stage import Searched, stage_of
from nas.tail_job import run_tail_job
from nas.trainings import Trainings
from nas.warm_start import Start


def run_job(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    start: Start | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], nn.Module]:
    """Run or continue the job in ``folder``; ``start``: what a new search starts from, None for a cold start.

    Where the branch was chosen by hand there is no first stage (:mod:`nas.tail_job`).

    Returns:
        The records of ``result.json`` that the search itself knows, and the winning branch with its weights.
    """
    if settings.strategy == BY_HAND:
        return run_tail_job(data, settings, folder=folder, seed=seed, device=device, progress=progress)
    search, candidates = find_candidates(
        data, settings, folder=folder, seed=seed, device=device, start=start, progress=progress
    )
    latencies = Latencies(
        folder, data.train.trunk_shape, data.train.values, device=device, batch=settings.search.latency_batch
    )
    architectures = [candidate.architecture for candidate in candidates]
    shown_front = front(candidates, [Cost(*search.costs(one)) for one in architectures], latencies.of(architectures))
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
    rivals = {
        strategy: find_candidates(
            data,
            replace(settings, strategy=strategy, rivals=()),
            folder=folder / "rivals" / strategy,
            seed=seed,
            device=device,
            progress=progress,
        )[1]
        for strategy in settings.rivals
    }
    contestants, ranked, chosen = train_all(data, settings, search, candidates, rivals, trainings, latencies)
    result, scores = measure_all(data, settings, contestants, seed=seed, device=device)
    keep_scores(folder, scores)
    result.update(chosen, front=shown_front)
    measured_latencies(result, data, contestants, latencies)
    branch = contestants["winner"].trainings[0].module
    history = read_history(folder / "history.jsonl")
    result["retrained"] = ranked
    own, asked = own_proposals(candidates, settings.candidates)
    result["collapse"] = collapse(history, own, settings.space, asked=asked, metric=settings.search.reward)
    result["seconds"] = stage_seconds(history)
    for strategy in rivals:
        spent = stage_seconds(read_history(folder / "rivals" / strategy / "history.jsonl"))
        result["seconds"]["controls"] += sum(spent.values())
    return result, branch


def find_candidates(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    progress: Progress | None,
    start: Start | None = None,
) -> tuple[Searched, list[Candidate]]:
    """The first stage, by the chosen strategy: candidates, best first."""
    if settings.strategy == "enas":
        search = Search(
            settings.space, data.train, data.val, settings.search, folder=folder, seed=seed, device=device, start=start
        )
        search.run(progress=progress)
        return search, rank_candidates(search, settings.candidates, progress=progress)
    stage = stage_of(settings.strategy)(data, settings, folder=folder, seed=seed, device=device)
    return stage, stage.candidates(progress=progress)
