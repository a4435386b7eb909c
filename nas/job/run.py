"""Run one attribute's job: shared weights and controller, candidates, trainings, controls, one test.

The val split decides everything (reward, ranking, weights kept, winner, threshold); the test split is measured once, at
the end. Every stage leaves its work in the folder, so that a killed job called again continues, and ends the same;
``result.json`` comes last and makes it finished.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from branches.compression import alone, codec_key, on_trunk
from branches.costs.module import macs, parameters
from branches.saved import load_branch, save_branch
from foundation.files import jsonable, write_json
from foundation.history import Progress, read_history
from foundation.provenance import machine, seed_of, timestamp, versions
from foundation.records import read_json
from nas.candidates import Candidate, Searched, candidates_history, own_proposals, rank_candidates
from nas.enas import Search
from nas.errors import SearchError
from nas.job.choosing.choice import keep_choices, saved_record
from nas.job.choosing.pareto import front
from nas.job.collapse import collapse
from nas.job.contest import baselines, train_all
from nas.job.origin import Origin, features_digest, origin_of, require_same
from nas.job.pictures import record_images
from nas.job.results import Contestant, JobResult, measure_all, stage_seconds
from nas.job.reuse.donors import Donors, taken_over
from nas.job.reuse.keys import features_key, keys_of
from nas.job.scores import calibrated_winner, keep_scores, read_scores
from nas.job.stages.budget import within_budget
from nas.job.stages.learning_curve import learning_curve, train_parts
from nas.job.stages.probe_start import as_begun, begun
from nas.job.stages.work import measured_units, plan_of, plan_sentence
from nas.job.trainings import Trained, Trainings
from nas.limits.latency import Latencies
from nas.limits.limits import Cost
from nas.settings import BY_HAND, JobData, JobSettings
from nas.strategies.auto import resolved
from nas.strategies.stages import Stage, TrialStage
from nas.warm_start import Start
from search_spaces.tail import tail_plan


def run_job(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    start: Start | None = None,
    origin: Origin | None = None,
    progress: Progress | None = None,
    others: Sequence[Path] = (),
    tell: Callable[[str], None] | None = None,
) -> JobResult:
    """Run the job in ``folder``, or continue it, or return what it found; a killed one is continued by calling again.

    Args:
        start: what a new search starts from, None for a cold start.
        origin: where the features come from; None where there is no more to say of them than they do.
        others: folders of other jobs, the one to ask first at the front: what they finished of the same stages is taken
            over instead of being done again (`nas.job.reuse`).
        tell: hears the plan, its stages and how long they take, of a job that begins.

    Returns:
        The result, ``result, branch = run_job(...)``. The folder then holds all that ``graftnet search`` writes:
        ``config.json``, ``history.jsonl``, ``architecture.json``, ``branch/`` as it is deployed, what else was
        trained in ``choices/``, ``predictions.csv``, ``pictures.json`` and, last, ``result.json``.

    Raises:
        SearchError: the folder holds another job, or one whose features were stored otherwise.
    """
    settings, _ = resolved(settings, len(data.train), len(data.val))
    origin = origin or origin_of(data, settings, digest=features_digest(data), seed=seed, device=device)
    identity = origin.identity
    settings = as_begun(settings, folder)
    setting = {
        "space": settings.space.name,
        "space_settings": dict(settings.space.settings),
        "decisions": [[d.name, list(d.choices), d.kind] for d in settings.space.decisions],
        "reward": settings.search.reward,
        "strategy": settings.strategy,
        "feature_shape": list(data.train.trunk_shape),
        **({"probe_start": True} if settings.retrain.probe_start else {}),
        **({"context": data.train.context} if data.train.context else {}),
    }
    codec = codec_key(data.train.features)
    known = {**origin.about, **codec}
    command = origin.command or shlex.join(["python", *sys.argv])
    about = {"command": command, "versions": versions(), "machine": machine(device)}
    # When it was begun, or continued: of several unfinished searches the newest is told by it.
    config = jsonable({**identity, **setting, **known, **about, "created": timestamp()})
    # With averages of other depths these are other features: what reads the map alone is stored in another form.
    context = {"context": data.train.context} if data.train.context else {}
    config["stages"] = {"features": features_key(jsonable(identity), {**codec, **context})}
    require_same(folder, config)
    if (folder / "result.json").exists():
        return JobResult(read_json(folder / "result.json"), load_branch(folder / "branch")[0], read_scores(folder))
    folder.mkdir(parents=True, exist_ok=True)
    begins = not (folder / "history.jsonl").exists()
    settings, budget = within_budget(data, settings, folder=folder, seed=seed, device=device)
    config |= budget
    config["stages"] = keys_of(config)
    write_json(folder / "config.json", config)
    if tell and begins:
        units = measured_units(data, settings, seed=seed, device=device)
        tell(plan_sentence(plan_of(data, settings, units), data.attribute))
    donors = Donors([other for other in others if other != folder], config)
    result = search_branch(
        data, settings, folder=folder, seed=seed, device=device, start=start, progress=progress, donors=donors
    )
    keep_scores(folder, result.scores)
    seconds = {"features": origin.seconds, **result.record["seconds"]}
    calibration, calibrated = calibrated_winner(data, result.scores)
    shown = ("attribute", "values", "fingerprint", "freeze_depth", "views", "storage", "seed")
    record = jsonable(
        {
            **{key: identity[key] for key in shown if key in identity},
            **setting,
            **result.record,
            "seconds": {**seconds, "total": sum(seconds.values())},
            "calibration": calibrated,
            **known,
            **about,
            **taken_over(folder),
            **{key: budget[key] for key in budget if key == "budget"},
            "created": timestamp(),
            "status": "complete",
        }
    )
    write_json(folder / "architecture.json", record["architecture"])
    deployed = on_trunk(result.branch, data.train.features)
    threshold = record["val"]["threshold"]
    where: dict[str, Any] = {"depth": identity["freeze_depth"] or 0, "fingerprint": identity["fingerprint"] or ""}
    keep_choices(folder, data, result.contestants, record["controls"], **where)
    winner = result.contestants["winner"]
    saved = saved_record(data, winner, test=record["test"], calibration=calibration, **where)
    save_branch(folder / "branch", alone(deployed), saved)
    record_images(
        data,
        folder,
        result.branch,
        result.scores,
        origin.files,
        threshold=threshold,
        device=device,
        pictures=origin.pictures,
    )
    write_json(folder / "result.json", record)
    return JobResult(record, alone(deployed), result.scores, result.contestants)


def search_branch(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    start: Start | None = None,
    progress: Progress | None = None,
    donors: Donors | None = None,
) -> JobResult:
    """Search, train and compare in ``folder``, or continue; only what is needed to continue is written.

    Where the branch was chosen by hand there is no first stage, see `run_tail_job`.

    Returns:
        What the search itself knows of ``result.json``, and the winner as it was trained, on the features of `data`.
    """
    if settings.strategy == BY_HAND:
        return run_tail_job(data, settings, folder=folder, seed=seed, device=device, progress=progress, donors=donors)
    settings = as_begun(settings, folder)
    data = begun(data, settings, folder)
    search, candidates = find_candidates(
        data, settings, folder=folder, seed=seed, device=device, start=start, progress=progress, donors=donors
    )
    latencies = Latencies(
        folder, data.train.trunk_shape, data.train.values, device=device, batch=settings.search.latency_batch
    )
    architectures = [candidate.architecture for candidate in candidates]
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
        probe=data.probe,
        donors=donors,
    )
    rivals = {
        strategy: find_candidates(
            data,
            replace(settings, strategy=strategy, rivals=()),
            folder=folder / "rivals" / strategy,
            seed=seed,
            device=device,
            progress=progress,
            donors=donors,
        )[1]
        for strategy in settings.rivals
    }
    contestants, ranked, chosen, trained = train_all(data, settings, search, candidates, rivals, trainings, latencies)
    parts = train_parts(data, settings, contestants, trainings) if settings.learning_curve else {}
    learned = learning_curve(data, settings, contestants, parts, device=device)
    figures, scores = measure_all(
        data,
        settings,
        contestants,
        latencies,
        seed=seed,
        device=device,
        beside=architectures,
        more=str(learned["sentence"]) if learned else "",
        trained=trained,
        cheapest=chosen["choice"]["cheapest"],
    )
    costs = [Cost(*search.costs(architecture)) for architecture in architectures]
    history = read_history(folder / "history.jsonl")
    own, asked = own_proposals(candidates, settings.candidates)
    seconds = stage_seconds(history)
    for strategy in rivals:
        seconds["controls"] += sum(stage_seconds(read_history(folder / "rivals" / strategy / "history.jsonl")).values())
    record = {
        **figures,
        **chosen,
        **({"learning_curve": learned} if learned else {}),
        "front": front(candidates, costs, latencies.of(architectures)),
        "retrained": ranked,
        "collapse": collapse(history, own, settings.space, asked=asked, metric=settings.search.reward),
        "seconds": seconds,
    }
    return JobResult(record, contestants["winner"].trainings[0].module, scores, contestants)


def run_tail_job(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
    donors: Donors | None = None,
) -> JobResult:
    """Run or continue the job in ``folder``: train the space's one tail ``settings.repeats`` times, and the controls.

    Returns:
        As `search_branch`; the branch is of the first training, with the weights of its best
        epoch on val.

    Raises:
        SearchError: nothing builds the branch, or the space leaves a choice.
    """
    if data.chosen is None or settings.space.size != 1:
        raise SearchError(f"a branch by hand needs its builder and a space of one choice, of {settings.space.size}.")
    architecture = settings.space.architecture([0] * len(settings.space.decisions))
    trainings = Trainings(
        data.train,
        data.val,
        folder=folder,
        seed=seed,
        device=device,
        threshold_by=settings.threshold_by,
        progress=progress,
        donors=donors,
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
    winner = Contestant([first, *more], parameters(on_trunk(first.module, features)), costs, architecture, BY_HAND)
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
    return JobResult(record, first.module, scores, contestants)


def find_candidates(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    progress: Progress | None,
    start: Start | None = None,
    donors: Donors | None = None,
) -> tuple[Searched, list[Candidate]]:
    """The first stage, by the chosen strategy: candidates, best first."""
    donors = donors or Donors()
    donors.take_search(folder, settings.strategy)
    if settings.strategy == "enas":
        search = Search(
            settings.space,
            data.train,
            data.val,
            settings.search,
            folder=folder,
            seed=seed,
            device=device,
            start=start,
            probe=data.probe.start if data.probe else None,
        )
        search.run(progress=progress)
        return search, rank_candidates(search, settings.candidates, progress=progress)
    stage = stage_of(settings.strategy)(
        data, settings, folder=folder, seed=seed, device=device, earlier=donors.trials()
    )
    return stage, stage.candidates(progress=progress)


def stage_of(strategy: str) -> type[Stage]:
    """The stage that follows a strategy other than ENAS. Raises SearchError where its extra is missing."""
    if strategy == "nni-darts":
        from nas.strategies.nni_darts import DartsStage

        return DartsStage
    return TrialStage
