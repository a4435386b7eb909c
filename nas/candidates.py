"""Candidates for training: proposed by the trained controller, ranked with the shared weights.

The controller's last sample is not its best: candidates are many distinct samples of the trained policy, its mode, the
architectures that were rewarded best during the search, and uniform draws in case the policy settled in a poor place,
all ranked on the whole val split.
"""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
import torch
from annotated_types import Ge, Le
from torch import Tensor
from typing_extensions import TypedDict

from branches.measures.metrics import Scores
from foundation.files import write_json
from foundation.history import History, Progress, read_history
from foundation.provenance import seed_of
from foundation.records import Text, read_record, reading
from nas.enas import Search
from nas.errors import SearchError
from nas.limits.allowed import Allowed
from search_spaces import Architecture

ROUNDS = 50
UNIFORM_SHARE = 4  # one candidate in so many is drawn uniformly
IMAGES_AT_ONCE = 4096


class RankedShape(TypedDict):
    """An architecture of ``candidates.json``."""

    architecture: dict[str, Any]
    score: float
    source: Text


class RankingShape(TypedDict):
    """``candidates.json``: the candidates, best first, and the size of the history when they were ranked."""

    ranking: list[RankedShape]
    history: Annotated[int, Ge(0), Le(2**50)]


class Candidate(NamedTuple):
    """An architecture with its score under the shared weights (the search's reward metric on all val images)."""

    architecture: Architecture
    score: float
    source: str


class Searched(Protocol):
    """What the trainings after a search need of it, whichever strategy it followed."""

    seed: int
    history: History
    allowed: Allowed | None

    def costs(self, architecture: Architecture) -> tuple[int, int]: ...


def rank_candidates(search: Search, count: int, *, progress: Progress | None = None) -> list[Candidate]:
    """Up to ``count`` distinct candidates, best first; kept in ``candidates.json``, so that it is done once."""
    if count < 1:
        raise SearchError(f"search.candidates must be at least 1, is {count}.")
    if (kept := read_ranking(search.folder)) is not None:
        return kept
    started = time.perf_counter()
    search.history.truncate(search.history_at_end())
    proposed = propose(search, count)
    candidates = []
    for index, score in enumerate(whole_val_scores(search, [architecture for architecture, _ in proposed], progress)):
        architecture, source = proposed[index]
        candidates.append(Candidate(architecture, score, source))
        record_candidate(search, index, candidates[-1])
    search.history.append("ranking", candidates=len(candidates), seconds=time.perf_counter() - started)
    candidates.sort(key=lambda candidate: -candidate.score)
    write_ranking(search.folder, candidates, search.history.size)
    return candidates


def record_candidate(search: Searched, index: int, candidate: Candidate, **fields: object) -> None:
    """Write a candidate to the search's history."""
    parameters, macs = search.costs(candidate.architecture)
    search.history.append(
        "candidate",
        index=index,
        architecture=candidate.architecture.to_json(),
        identity=candidate.architecture.identity,
        score=candidate.score,
        parameters=parameters,
        macs=macs,
        source=candidate.source,
        **fields,
    )


def read_ranking(folder: Path) -> list[Candidate] | None:
    """What ``candidates.json`` keeps, best first; None before there is one."""
    path = folder / "candidates.json"
    if not path.exists():
        return None
    record = read_record(path, RankingShape)
    with reading(path):
        return [
            Candidate(Architecture.from_json(each["architecture"]), each["score"], each["source"])
            for each in record["ranking"]
        ]


def write_ranking(folder: Path, candidates: Sequence[Candidate], history: int) -> None:
    """Keep the candidates, best first, with the size of the history at that time."""
    ranking: list[dict[str, Any]] = [
        {"architecture": c.architecture.to_json(), "score": c.score, "source": c.source} for c in candidates
    ]
    write_json(folder / "candidates.json", {"ranking": ranking, "history": history})


def whole_val_scores(search: Search, architectures: Sequence[Architecture], progress: Progress | None) -> list[float]:
    """Each architecture's reward on all val images; the features are read in parts, so that memory does not grow."""
    parts: list[list[Scores]] = [[] for _ in architectures]
    # Parts of equal size: batch statistics of a small remainder would mean little.
    rows = torch.tensor_split(torch.arange(len(search.val)), math.ceil(len(search.val) / IMAGES_AT_ONCE))
    for number, index in enumerate(rows):
        for column, scores in enumerate(scores_of(search, architectures, index)):
            parts[column].append(scores)
            if progress:
                progress("candidates", number * len(architectures) + column + 1, len(rows) * len(architectures), {})
    labels = search.val.labels
    return [
        search.rewarded(architecture, np.concatenate(pieces), labels)
        for architecture, pieces in zip(architectures, parts, strict=True)
    ]


def scores_of(search: Search, architectures: Sequence[Architecture], index: Tensor) -> Iterator[Scores]:
    """Each architecture's scores on these val images, whose features are let go before others are read."""
    features = search.val.features.gather(index).to(search.device)
    for architecture in architectures:
        yield search.scores(architecture, features)


def own_proposals(candidates: Sequence[Candidate], count: int) -> tuple[list[Architecture], int]:
    """What the policy and its search proposed of `count` candidates, and how many it was asked for."""
    own = [candidate.architecture for candidate in candidates if candidate.source != "uniform"]
    return own, count if len(own) == len(candidates) else count - count // UNIFORM_SHARE


def propose(search: Search, count: int) -> list[tuple[Architecture, str]]:
    """Distinct architectures and where they come from: ``mode``, ``best`` (rewarded), ``controller`` or ``uniform``."""
    distinct: dict[object, tuple[Architecture, str]] = {}

    def add(architecture: Architecture, source: str) -> None:
        distinct.setdefault(search.space.key(architecture), (architecture, source))

    likeliest = search.space.architecture(search.controller.mode().tolist())
    if search.allowed is None or search.allowed(likeliest):
        add(likeliest, "mode")
    for architecture in best_rewarded(search, count // 4):
        add(architecture, "best")
    uniform = count // UNIFORM_SHARE
    for _ in range(ROUNDS):
        if len(distinct) >= min(count - uniform, search.space.size):
            break
        for architecture in search.sample_policy(count):
            add(architecture, "controller")
    distinct = dict(list(distinct.items())[: count - uniform])
    rng = np.random.default_rng(seed_of(search.seed, "candidates"))
    for _ in range(ROUNDS):
        if len(distinct) >= min(count, search.space.size):
            break
        for architecture in search.sample_uniform(uniform, rng):
            add(architecture, "uniform")
    return list(distinct.values())[:count]


def best_rewarded(search: Search, count: int) -> list[Architecture]:
    """The architectures with the highest mean reward during the search, best first."""
    rewards: dict[tuple[int, ...], list[float]] = {}
    for record in read_history(search.folder / "history.jsonl"):
        if record["kind"] == "controller_update":
            for indices, reward in zip(record["architectures"], record["rewards"], strict=True):
                rewards.setdefault(tuple(indices), []).append(reward)
    ranked = sorted(rewards, key=lambda indices: -sum(rewards[indices]) / len(rewards[indices]))
    return [search.space.architecture(indices) for indices in ranked[:count]]


def candidates_history(folder: Path) -> int:
    """The size of the history when the candidates were ranked."""
    return int(read_record(folder / "candidates.json", RankingShape)["history"])
