"""The job of a branch that was chosen by hand: the backbone's own blocks, trained and compared, with nothing searched.

It leaves the records that a search leaves: the winner's trainings, the linear probe and the uncut tail as controls, one
look at the test split. What is done stays in the folder, so that a killed job called again continues.
"""

from pathlib import Path
from typing import Any

import torch

from branches.compression import on_trunk
from branches.costs import macs, parameters
from foundation.history import History, read_history
from foundation.progress import Progress
from nas.baselines import baselines
from nas.errors import SearchError
from nas.latencies import Latencies
from nas.results import Contestant, JobResult, measure_all, stage_seconds
from nas.seeds import seed_of
from nas.settings import BY_HAND, JobData, JobSettings
from nas.trainings import Trained, Trainings
from search_spaces.tail import tail_plan


def run_tail_job(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> JobResult:
    """Run or continue the job in ``folder``: train the space's one tail ``settings.repeats`` times, and the controls.

    Returns:
        As :func:`nas.job.search_branch`; the branch is of the first training, with the weights of its best epoch on
        val.

    Raises:
        SearchError: nothing builds the branch, or the space leaves a choice.
    """
    if data.chosen is None or settings.space.size != 1:
        raise SearchError(f"a branch by hand needs its builder and a space of one choice, of {settings.space.size}.")
    architecture = settings.space.architecture([0] * len(settings.space.decisions))
    history = History(folder / "history.jsonl")
    trainings = Trainings(
        data.train,
        data.val,
        folder=folder,
        history=history,
        finished=0,
        seed=seed,
        device=device,
        threshold_by=settings.threshold_by,
        progress=progress,
    )
    metric, features, shape = settings.search.reward, data.train.features, data.train.trunk_shape
    costs = macs(on_trunk(data.chosen(torch.Generator().manual_seed(0)), features), shape)
    about = {"architecture": architecture.to_json(), "identity": architecture.identity}

    def train(kind: str, name: str, **fields: Any) -> Trained:
        own = seed_of(seed, "training", name)
        build = data.chosen
        assert build is not None
        return trainings.fitted(
            kind,
            name,
            lambda: build(torch.Generator().manual_seed(own)),
            settings.retrain,
            own,
            {**fields, **about},
        )

    first = train("retraining", BY_HAND, role="candidate", index=0, macs=costs, shared_score=None)
    more = [train("repeat", f"{BY_HAND}-repeat{n}", of="winner") for n in range(1, settings.repeats)]
    winner = Contestant([first, *more], parameters(on_trunk(first.module, features)), costs, architecture)
    contestants = {"winner": winner, **baselines(data, settings, trainings)}
    latencies = Latencies(folder, shape, data.train.values, device=device, batch=settings.search.latency_batch)
    figures, scores = measure_all(data, settings, contestants, latencies, seed=seed, device=device)
    selection = (
        f"chosen by hand and not searched: {tail_plan(architecture).described()}, fine-tuned from the trunk's weights; "
        f"val chose the epoch, and the threshold by {settings.threshold_by}"
    )
    record = {
        **figures,
        "selection": selection,
        "front": [],
        "limits": {},
        "dropped": [],
        "retrained": [{"identity": architecture.identity, "shared": None, "val": first.score(metric)}],
        "seconds": stage_seconds(read_history(folder / "history.jsonl")),
    }
    return JobResult(record, first.module, scores)
