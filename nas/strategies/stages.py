"""The first stage of a job where it is not ENAS: short trainings that end in ranked candidates."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from branches.branch import Branch
from branches.costs.architecture import branch_costs
from branches.training import fit
from foundation.history import History, Progress, read_history
from foundation.provenance import seed_of
from nas.candidates import Candidate, read_ranking, record_candidate, write_ranking
from nas.errors import SearchError
from nas.limits.allowed import within
from nas.settings import JobData, JobSettings
from nas.strategies.searches import STRATEGIES
from search_spaces import Architecture

Trials = Mapping[tuple[int, str], Mapping[str, Any]]  # (index, identity of the architecture) -> its record


TAKEN = ("seed", "epoch", "seconds", "taken_from")


class Stage(ABC):
    """A search in a folder that ends in ``candidates.json``; called again it continues, and ends the same.

    earlier: trials that another job of the same features made, trained alike; they are not made again.
    """

    def __init__(
        self,
        data: JobData,
        settings: JobSettings,
        *,
        folder: Path,
        seed: int,
        device: torch.device,
        earlier: Trials | None = None,
    ) -> None:
        self.data, self.settings, self.earlier = data, settings, earlier or {}
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


class TrialStage(Stage):
    """Short trainings of the architectures that a strategy of :mod:`nas.strategies.searches` asks for."""

    def propose(self, *, progress: Progress | None) -> list[Candidate]:
        """Make all trials; the best, each network once, the first of equals first."""
        settings, space = self.settings, self.settings.space
        done = [record for record in read_history(self.history.path) if record["kind"] == "candidate"]
        trials: list[Candidate] = []

        def reward(architecture: Architecture) -> float:
            index = len(trials)
            if index < len(done):
                self.check_same(done[index], architecture)
                score = float(done[index]["score"])
                trials.append(Candidate(architecture, score, settings.strategy))
            else:
                trials.append(self.trial(index, architecture))
            if progress:
                best = max(trial.score for trial in trials)
                progress("search", len(trials), settings.trials, {"best": best})
            return trials[-1].score

        STRATEGIES[settings.strategy](
            space, reward, settings.trials, seed=seed_of(self.seed, "strategy"), allowed=self.allowed
        )
        ranked: dict[object, Candidate] = {}
        for trial in sorted(trials, key=lambda trial: -trial.score):
            ranked.setdefault(space.key(trial.architecture), trial)
        return list(ranked.values())[: settings.candidates]

    def trial(self, index: int, architecture: Architecture) -> Candidate:
        """Train one architecture from scratch, shortly, and write down how it did on val."""
        if (known := self.earlier.get((index, architecture.identity))) is not None:
            trial = Candidate(architecture, float(known["score"]), self.settings.strategy)
            record_candidate(self, index, trial, **{key: known[key] for key in TAKEN})
            return trial
        started = time.perf_counter()
        train, val, settings = self.data.train, self.data.val, self.settings.retrain
        seed = seed_of(self.seed, "trial", index)
        generator = torch.Generator().manual_seed(seed)
        branch = Branch(architecture, train.features.shape, train.values, dropout=settings.dropout, generator=generator)
        if self.data.probe is not None:
            branch.begin_at(self.data.probe.start)
        short = replace(settings, epochs=self.settings.trial_epochs)
        fitted = fit(branch, train, val, short, seed=seed, device=self.device)
        trial = Candidate(architecture, self.penalised(fitted.val_score, architecture), self.settings.strategy)
        record_candidate(self, index, trial, seed=seed, epoch=fitted.epoch, seconds=time.perf_counter() - started)
        return trial

    def check_same(self, record: dict[str, object], architecture: Architecture) -> None:
        """Raises SearchError when the history holds another architecture than the one that is asked for again."""
        if record["identity"] != architecture.identity:
            raise SearchError(
                f"Trial {record['index']} in {self.history.path} is of another architecture than the strategy asks for "
                "now: the search was begun with another version; begin it anew with --force."
            )
