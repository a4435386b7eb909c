"""Audit a finished search: ranking, gain over random, collapse, cost, and one sentence on whether it is worth it.

Everything is trained in the folder `audit/` of a finished search, a part of it in a folder of its own, so that a killed
audit continues, and one with more seeds or architectures adds what is missing. The answer is `audit.json`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from branches.measures.metrics import title_of
from foundation.files import write_json
from foundation.history import Progress, read_history
from foundation.records import read_json, reading
from nas.audit.gain import extra_random, fresh_figures, paired, random_at_equal_cost
from nas.audit.ranking import SIDES, audit_ranking
from nas.candidates import own_proposals, rank_candidates
from nas.enas import Search
from nas.errors import SearchError
from nas.job.collapse import collapse
from nas.job.results import too_few
from nas.job.run import search_branch
from nas.job.stages.budget import budgeted
from nas.job.stages.probe_start import as_begun, begun
from nas.job.trainings import Trainings
from nas.settings import JobData, JobSettings
from nas.warm_start import start_of
from subdatasets.reading.rows import too_few_words

RANKS_WELL, NEAR_CEILING = 0.6, 0.8  # tau, or tau as a share of the ceiling
CLEAR_CEILING = 0.4  # below, retraining itself is too noisy to rank by
MATTERS = 0.002  # a gain below this is not worth a search, in the reward's unit


def run_audit(
    data: JobData,
    settings: JobSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    seeds: int = 3,
    architectures: int = 24,
    test: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Audit the finished search in `folder`, which was run with `seed`; returns what it writes to `audit.json`.

    seeds: so many whole searches are compared with random search, the finished one included. architectures: so many are
    retrained for the ranking. test: measure the chosen ones on test too; nothing is chosen by it.
    Raises SearchError when the search is not finished or lacks the trainings that an audit builds on.
    """
    settings = budgeted(settings, folder)
    check(folder, data, settings, seeds=seeds, architectures=architectures, test=test)
    result, history = read_result(folder / "result.json"), read_history(folder / "history.jsonl")
    settings = as_begun(settings, folder)
    data = begun(data, settings, folder)
    search = Search(
        settings.space,
        data.train,
        data.val,
        settings.search,
        folder=folder,
        seed=seed,
        device=device,
        probe=data.probe.start if data.probe else None,
    )
    total, finished = len(SIDES) * architectures + 2 * seeds, 0

    def done() -> None:
        nonlocal finished
        finished += 1
        if progress:
            progress("audit", finished, total, {})

    def trainings(name: str, of: int) -> Trainings:
        return Trainings(
            data.train,
            data.val,
            folder=folder / "audit" / name,
            seed=of,
            device=device,
            threshold_by=settings.threshold_by,
            progress=progress,
            probe=data.probe,
        )

    draw = search.allowed.uniform if search.allowed else None
    ranking_name = f"ranking-{architectures}"
    ranking = audit_ranking(
        search,
        settings.retrain,
        trainings(ranking_name, seed),
        candidates=settings.candidates,
        architectures=architectures,
        done=done,
    )
    extra = extra_random(result, settings.retrain_top, history)
    metric, parts, rows = settings.search.reward, [ranking_name], []
    again = replace(settings, random=True, probe=False, tail=None, rivals=(), learning_curve=False)
    for of in range(seed, seed + seeds):
        record = result
        if of != seed:
            parts.append(f"seed-{of}")
            part_folder = folder / "audit" / parts[-1]
            part_data = replace(data, test=data.test if test else None, tail=None)
            start = start_of(folder)
            job = search_branch(
                part_data, again, folder=part_folder, seed=of, device=device, start=start, progress=progress
            )
            record = job.record
        done()
        parts.append(f"random-{of}-{extra}")
        longer = random_at_equal_cost(
            data, again, repeats_of(record, "random"), trainings(parts[-1], of), extra=extra, test=test, draw=draw
        )
        done()
        rows.append(row_of(of, record, longer, metric, test=test))
    own, asked = own_proposals(rank_candidates(search, settings.candidates), settings.candidates)
    audit: dict[str, Any] = {
        "attribute": data.attribute,
        "metric": metric,
        "seed": seed,
        "ranking": ranking,
        "gain": gain_of(rows, extra, test=test),
        "collapse": collapse(history, own, settings.space, asked=asked, metric=metric),
        "cost": cost_of(folder, parts, result),
    }
    audit |= few_of(data)
    audit["sentence"] = audit_sentence(audit)
    write_json(folder / "audit.json", audit)
    return audit


def read_result(path: Path) -> dict[str, Any]:
    """The finished search's record, once it is seen to hold what an audit takes from it."""
    result = read_json(path)
    with reading(path):
        sum((result["seconds"]["search"], result["seconds"]["total"]))
        sum(len(repeats_of(result, kind)) for kind in ("searched", "random"))
    return result


def repeats_of(result: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The trainings of a kind in a result, which is of that kind itself or of another."""
    repeats: dict[str, Any] = result["repeats"]["winner" if result.get("kind", "searched") == kind else kind]
    return repeats


def check(folder: Path, data: JobData, settings: JobSettings, *, seeds: int, architectures: int, test: bool) -> None:
    """Raise SearchError where there is nothing to audit, or not with these settings."""
    if not (folder / "result.json").exists():
        raise SearchError(f"{folder} holds no finished search; run `graftnet search {data.attribute}` first.")
    if settings.strategy != "enas":
        raise SearchError(
            f"An audit is of ENAS's shared weights and controller, but {data.attribute} was searched by "
            f"{settings.strategy}; search it with --strategy enas first."
        )
    if seeds < 1 or architectures < 3:
        raise SearchError(f"An audit takes at least 1 seed and 3 architectures, not {seeds} and {architectures}.")
    if not settings.random or settings.repeats < 2:
        raise SearchError(
            "An audit compares trainings that follow the choice with those of a random control; set controls.random = "
            f"true and retrain.repeats to at least 2, then run `graftnet search {data.attribute}` again."
        )
    if test and data.test is None:
        raise SearchError(f"{data.attribute} has no test split; leave --test out.")


def row_of(
    seed: int, record: Mapping[str, Any], longer: Mapping[str, Any], metric: str, *, test: bool
) -> dict[str, Any]:
    """One seed's figures: of the search's choice, of random's, and of random's at equal cost."""
    row: dict[str, Any] = {"seed": seed}
    for split in ("val", "test") if test else ("val",):
        row[split] = {
            "search": fresh_figures(repeats_of(record, "searched"), split, metric),
            "random": fresh_figures(repeats_of(record, "random"), split, metric),
            "random_equal_cost": longer[split],
        }
    return row


def gain_of(rows: list[dict[str, Any]], extra: int, *, test: bool) -> dict[str, Any]:
    """The paired differences over the seeds, at equal budget and at equal cost, on val and, if asked for, on test."""

    def over(split: str, control: str) -> dict[str, Any]:
        return paired([r[split]["search"] for r in rows], [r[split][control] for r in rows])._asdict()

    gain: dict[str, Any] = {
        "equal_budget": over("val", "random"),
        "equal_cost": over("val", "random_equal_cost"),
        "extra_random": extra,
        "seeds": rows,
        "how": (
            "Val chose on each side; the figures are the mean val scores of the trainings that followed the choice. "
            "Intervals: t over the paired differences, 95 %."
        ),
    }
    if test:
        gain["test"] = {"equal_budget": over("test", "random"), "equal_cost": over("test", "random_equal_cost")}
    return gain


def few_of(data: JobData) -> dict[str, Any]:
    """`too_few`: the split, its rarest value and how many images, where that is too few for a verdict; else nothing.

    Test counts whether or not it is looked at here: an audit is to say no more of a search than the search itself may.
    """
    for split in ("test", "val"):
        if few := too_few(data, split):
            return {"too_few": {"split": split, **few._asdict()}}
    return {}


def cost_of(folder: Path, parts: list[str], result: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds of the search (shared weights and controller; all of it) and of the audit; trainings of the audit."""
    records = [record for part in parts for record in read_history(folder / "audit" / part / "history.jsonl")]
    return {
        "search_seconds": result["seconds"]["search"],
        "total_seconds": result["seconds"]["total"],
        "audit_seconds": sum(float(record.get("seconds", 0.0)) for record in records),
        "audit_trainings": sum(record["kind"] in ("retraining", "repeat") for record in records),
        "audit_searches": sum(part.startswith("seed-") for part in parts),
    }


def audit_sentence(audit: Mapping[str, Any]) -> str:
    """What the audit says in one sentence, of the record that `run_audit` makes."""
    gained = gain_clause(audit["gain"], audit["metric"])
    parts = [f"On {audit['attribute']}, {ranking_clause(audit['ranking'])}", gained, equal_cost_clause(audit["gain"])]
    if audit["collapse"]["alarms"]:
        parts.append(f"the controller has collapsed ({audit['collapse']['alarms'][0]})")
    return f"{'; '.join(part for part in parts if part)}: {advice(audit)}."


def ranking_clause(ranking: Mapping[str, Any]) -> str:
    """How well the shared weights rank, with tau, its interval and the ceiling."""
    tau, ceiling = ranking["tau"], ranking["ceiling"]["tau"]
    if tau["tau"] is None or ceiling is None:
        return "the scores differ too little to rank by"
    figures = f"(tau {tau['tau']:.2f} [{tau['low']:.2f}, {tau['high']:.2f}], ceiling {ceiling:.2f})"
    if ceiling < CLEAR_CEILING:
        return f"two retrainings hardly agree with one another, so no ranking could be right {figures}"
    if tau["low"] <= 0:
        return f"the shared weights rank no better than chance may {figures}"
    if tau["tau"] >= min(RANKS_WELL, NEAR_CEILING * ceiling):
        return f"the shared weights rank like retraining does {figures}"
    return f"the shared weights rank only roughly {figures}"


def gain_clause(gain: Mapping[str, Any], metric: str) -> str:
    """What the search gained at equal budget."""
    over = gain["equal_budget"]
    gained = f"the search gained {over['difference']:+.4f}{interval(over)}"
    text = f"{gained} val {title_of(metric)} over random at equal budget"
    return f"{text} ({over['seeds']} seeds)" if over["seeds"] > 1 else f"{text} (one seed, so without an interval)"


def equal_cost_clause(gain: Mapping[str, Any]) -> str:
    """And when random search may spend the search's seconds on more architectures."""
    over = gain["equal_cost"]
    return f"{over['difference']:+.4f}{interval(over)} at equal cost ({gain['extra_random']} more random architectures)"


def interval(over: Mapping[str, Any]) -> str:
    return "" if over["low"] is None else f" [{over['low']:+.4f}, {over['high']:+.4f}]"


def advice(audit: Mapping[str, Any]) -> str:
    """What follows, in a few words."""
    if few := audit.get("too_few"):
        return f"{too_few_words(few['value'], few['images'], few['split'])} whether the search gained anything"
    budget, cost = audit["gain"]["equal_budget"], audit["gain"]["equal_cost"]
    if budget["low"] is None:
        return "too little to say whether the search is worth it; audit with more --seeds"
    if budget["high"] < 0:
        return "random search does better here"
    if budget["low"] > 0:
        if cost["high"] < 0:
            return "random search given the same seconds does better"
        return (
            "worth searching"
            if cost["low"] > 0 or cost["difference"] > 0
            else "worth it only per training, not per second"
        )
    if budget["high"] < MATTERS:
        return "no gain worth having; random search does as well"
    return "too noisy to say whether the search is worth it; audit with more --seeds"
