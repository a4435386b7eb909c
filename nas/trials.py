"""A search by short trainings: a strategy asks for architectures, each is trained from scratch, val is its reward.

The strategy is a function of the rewards it was given, so an interrupted search runs it again and answers what was
asked before from the history, without training; from there on it is what it would have been.
"""

import time
from dataclasses import replace

import torch

from branches.branch import Branch
from branches.training import fit
from foundation.history import read_history
from foundation.progress import Progress
from nas.candidates import Candidate
from nas.errors import SearchError
from nas.seeds import seed_of
from nas.stage import Stage
from nas.strategies import STRATEGIES
from search_spaces import Architecture


class TrialStage(Stage):
    """Short trainings of the architectures that a strategy of :mod:`nas.strategies` asks for."""

    def propose(self, *, progress: Progress | None) -> list[Candidate]:
        """Make all trials; the best, each network once, the first of equals first."""
        settings, space = self.settings, self.settings.space
        done = [one for one in read_history(self.history.path) if one["kind"] == "candidate"]
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
        started = time.perf_counter()
        train, val, settings = self.data.train, self.data.val, self.settings.retrain
        seed = seed_of(self.seed, "trial", index)
        generator = torch.Generator().manual_seed(seed)
        branch = Branch(architecture, train.features.shape, train.values, dropout=settings.dropout, generator=generator)
        short = replace(settings, epochs=self.settings.trial_epochs)
        fitted = fit(branch, train, val, short, seed=seed, device=self.device)
        trial = Candidate(architecture, self.penalised(fitted.val_score, architecture), self.settings.strategy)
        self.record(index, trial, seed=seed, epoch=fitted.epoch, seconds=time.perf_counter() - started)
        return trial

    def check_same(self, record: dict[str, object], architecture: Architecture) -> None:
        """Raises SearchError when the history holds another architecture than the one that is asked for again."""
        if record["identity"] != architecture.identity:
            raise SearchError(
                f"Trial {record['index']} in {self.history.path} is of another architecture than the strategy asks for "
                "now: the search was begun with another version; begin it anew with --force."
            )
