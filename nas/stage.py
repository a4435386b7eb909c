"""The first stage of a job where it is not ENAS: what every such search leaves to the trainings that follow."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

import torch

from branches.parts import branch_costs
from foundation.history import History
from foundation.progress import Progress
from nas.allowed import Allowed, within
from nas.candidates import Candidate, read_ranking, write_ranking
from nas.settings import JobData, JobSettings
from search_spaces import Architecture


class Searched(Protocol):
    """What the trainings after a search need of it, whichever strategy it followed."""

    seed: int
    history: History
    allowed: Allowed | None

    def costs(self, architecture: Architecture) -> tuple[int, int]: ...


class Stage(ABC):
    """A search in a folder that ends in ``candidates.json``; called again it continues, and ends the same."""

    def __init__(self, data: JobData, settings: JobSettings, *, folder: Path, seed: int, device: torch.device) -> None:
        self.data, self.settings = data, settings
        self.folder, self.seed, self.device = folder, seed, device
        self.history = History(folder / "history.jsonl")
        self.allowed = within(
            settings.search.limits,
            settings.space,
            data.train.trunk_shape,
            data.train.values,
            folder=folder,
            seed=seed,
            device=device,
            batch=settings.search.latency_batch,
        )

    @abstractmethod
    def propose(self, *, progress: Progress | None) -> list[Candidate]:
        """Run or continue the search; its candidates, best first, each with a ``candidate`` record in the history."""

    def candidates(self, *, progress: Progress | None = None) -> list[Candidate]:
        """The candidates, best first; kept, so that they are searched once."""
        kept = read_ranking(self.folder)
        if kept is None:
            kept = self.propose(progress=progress)
            write_ranking(self.folder, kept, self.history.size)
        return kept

    def costs(self, architecture: Architecture) -> tuple[int, int]:
        """(parameters, MACs per image) of the branch this architecture builds."""
        return branch_costs(architecture, self.data.train.trunk_shape, self.data.train.values)

    def penalised(self, score: float, architecture: Architecture) -> float:
        """A val score less the penalty for the architecture's parameters, as ENAS's rewards are."""
        penalty = self.settings.search.parameter_penalty
        return score - penalty * self.costs(architecture)[0] / 1e6 if penalty else score

    def record(self, index: int, candidate: Candidate, **fields: object) -> None:
        """Write a candidate to the history."""
        parameter_count, mac_count = self.costs(candidate.architecture)
        self.history.append(
            "candidate",
            index=index,
            architecture=candidate.architecture.to_json(),
            identity=candidate.architecture.identity,
            score=candidate.score,
            parameters=parameter_count,
            macs=mac_count,
            source=candidate.source,
            **fields,
        )
