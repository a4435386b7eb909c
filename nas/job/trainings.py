"""The trainings that follow a search, each done once: candidates from scratch, controls, repeats.

Every finished training is one file in ``trainings/``. A killed job finds the finished ones and does the rest; records
that a killed training left in the history are cut off first. What another job of the same features has trained under
the same name, in the same way, is taken over (`nas.reuse.donors`).
"""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import nn

from branches.branch import Branch
from branches.compression import MapOnly
from branches.costs.architecture import branch_costs
from branches.measures.metrics import Scores, best_threshold, measure
from branches.probe import LinearProbe, Probe, linear_probe
from branches.settings import FitSettings
from branches.training import fit
from foundation.history import History, Progress
from foundation.provenance import seed_of
from nas.reuse.donors import Donors
from search_spaces import Architecture
from trunk.checkpoints import load_checkpoint, restoring, save_checkpoint, under
from trunk.features.context import map_of
from trunk.features.source import LabelledFeatures

Figures = dict[str, float | None]


class Trained(NamedTuple):
    """A finished training: the module with the kept weights, its scores on val (N, V) and its history record."""

    module: nn.Module
    val_scores: Scores
    record: dict[str, Any]

    @property
    def val(self) -> Figures:
        figures: Figures = self.record["val"]
        return figures

    def score(self, metric: str) -> float:
        """The val figure it is chosen by."""
        value = self.val[metric]
        assert value is not None
        return value


class Trainings:
    """Trains modules on one attribute's features, each under a name that is done at most once per folder.

    history, finished: the history of a search in the same folder, and its size when the search had ended. probe: what
    branches begin at where a recipe says `probe_start`. donors: other jobs, whose trainings of the same stages are
    taken over.
    """

    def __init__(
        self,
        train: LabelledFeatures,
        val: LabelledFeatures,
        *,
        folder: Path,
        seed: int,
        device: torch.device,
        threshold_by: str,
        history: History | None = None,
        finished: int = 0,
        progress: Progress | None = None,
        probe: Probe | None = None,
        donors: Donors | None = None,
    ) -> None:
        self.donors = donors or Donors()
        self.train, self.val, self.begin_at = train, val, probe
        self.folder = folder / "trainings"
        self.history, self.finished = history or History(folder / "history.jsonl"), finished
        self.seed, self.device, self.threshold_by, self.progress = seed, device, threshold_by, progress

    def branch(self, kind: str, name: str, architecture: Architecture, settings: FitSettings, **fields: Any) -> Trained:
        """One architecture, trained from scratch; the name and the search's seed give its own seed."""
        seed = seed_of(self.seed, "training", name)

        def build() -> nn.Module:
            generator = torch.Generator().manual_seed(seed)
            branch = Branch(
                architecture,
                self.train.features.shape,
                self.train.values,
                dropout=settings.dropout,
                generator=generator,
            )
            if self.begin_at is not None and settings.probe_start:
                branch.begin_at(self.begin_at.start)
            return branch

        costs = branch_costs(architecture, self.train.trunk_shape, self.train.values)
        fields = {
            "parameters": costs.parameters,
            **fields,
            "architecture": architecture.to_json(),
            "identity": architecture.identity,
        }
        return self.fitted(kind, name, build, settings, seed, fields)

    def tail(
        self,
        name: str,
        build: Callable[[torch.Generator], nn.Module],
        settings: FitSettings,
        *,
        kind: str = "control",
        **fields: Any,
    ) -> Trained:
        """The backbone's own last blocks, fine-tuned from the trunk's weights."""
        seed = seed_of(self.seed, "training", name)
        return self.fitted(
            kind,
            name,
            lambda: build(torch.Generator().manual_seed(seed)),
            settings,
            seed,
            {"name": "tail", **fields},
            stage="tail",
        )

    def probe(
        self, metric: str, *, joined: bool = False, kind: str = "control", name: str = "", **fields: Any
    ) -> Trained:
        """Logistic regression on averaged features: of the cut alone, or `joined` with those of its sources."""
        context, channels = self.train.context, self.train.features.shape[0]
        own = channels if joined else channels - context
        name = name or ("joined_probe" if joined else "linear_probe")

        def placed(module: nn.Module) -> nn.Module:
            return module if own == channels else MapOnly(module, own)

        def work() -> Trained:
            started = time.perf_counter()
            # What branches begin at was fitted on all that they read.
            fitted = self.begin_at if own == channels else None
            probe = fitted or linear_probe(*(self.train, self.val) if joined else self.of_maps, metric=metric)
            started -= fitted.seconds if fitted else 0.0
            found = {"inverse_penalty": probe.inverse_penalty, "curve": probe.curve, "seed": 0}
            told = {"name": name, **found, **fields}
            return self.recorded(kind, placed(probe.module), probe.val_scores, started, told)

        known = {"kind": kind, "name": name, **fields}
        return self.once(name, work, lambda: placed(LinearProbe(own, self.train.values)), "probe", known)

    @property
    def of_maps(self) -> tuple[LabelledFeatures, LabelledFeatures]:
        """Train and val without averages of other depths."""
        train, val = (replace(part, features=map_of(part.features)) for part in (self.train, self.val))
        return train, val

    def on(self, train: LabelledFeatures, val: LabelledFeatures, begin_at: Probe | None) -> Self:
        """The same on other images; `begin_at`: a probe of those, where branches begin at one.

        That of all images has seen what is held out here.
        """
        own = copy.copy(self)
        own.train, own.val, own.begin_at = train, val, begin_at if self.begin_at else None
        return own

    def fitted(
        self,
        kind: str,
        name: str,
        build: Callable[[], nn.Module],
        settings: FitSettings,
        seed: int,
        fields: dict[str, Any],
        stage: str = "training",
    ) -> Trained:
        """A module trained from scratch, as a stage of this name (`nas.reuse.keys`)."""

        def work() -> Trained:
            started = time.perf_counter()
            module = build()
            shown = "controls" if kind == "control" else "retrain"
            done = fit(
                module,
                self.train,
                self.val,
                settings,
                seed=seed,
                device=self.device,
                progress=self.progress,
                stage=f"{shown} {name}",
            )
            return self.recorded(
                kind,
                module,
                done.val_scores,
                started,
                {**fields, "seed": seed, "curve": done.curve, "epoch": done.epoch},
            )

        return self.once(name, work, build, stage, {**fields, "kind": kind})

    def recorded(self, kind: str, module: nn.Module, scores: Scores, started: float, fields: dict[str, Any]) -> Trained:
        """A training's record: its figures on val at the threshold that val chooses.

        A training that diverged scores every value alike, so that it comes last instead of ending the job.
        """
        scores = np.nan_to_num(scores, nan=1 / scores.shape[1])
        record = {
            "parameters": sum(weight.numel() for weight in module.parameters()),
            **fields,
            "kind": kind,
            "val": self.figures(scores),
            "seconds": time.perf_counter() - started,
        }
        return Trained(module, scores, record)

    def figures(self, scores: Scores) -> Figures:
        """Every metric on val; with two values the threshold is the best one by the chosen rule."""
        labels = self.val.labels.numpy()
        threshold = best_threshold(scores, labels, by=self.threshold_by) if scores.shape[1] == 2 else None
        return measure(scores, labels, threshold=threshold)

    def once(
        self,
        name: str,
        work: Callable[[], Trained],
        build: Callable[[], nn.Module],
        stage: str,
        fields: Mapping[str, Any],
    ) -> Trained:
        """Do ``work`` unless a file says that it is done, here or in another job; then read that.

        fields: what the record says of this job, wherever the training was done.
        """
        path = self.folder / f"{name}.safetensors"
        if path.exists():
            tensors, record = load_checkpoint(path)
            module = build()
            with restoring(path):
                module.load_state_dict(under(tensors, "module."))
                self.finished = record.pop("history")
                scores = tensors["val_scores"].numpy()
                self.figures(scores)
            self.history.require(self.finished)
            return Trained(module.to(self.device).eval(), scores, record)
        self.history.truncate(self.finished)
        trained = self.taken(stage, name, build, fields) or work()
        self.history.append(**trained.record)
        self.finished = self.history.size
        tensors = {f"module.{key}": value for key, value in trained.module.state_dict().items()}
        tensors["val_scores"] = torch.from_numpy(trained.val_scores)
        save_checkpoint(path, tensors, {**trained.record, "history": self.finished})
        return trained._replace(module=trained.module.to(self.device).eval())

    def taken(self, stage: str, name: str, build: Callable[[], nn.Module], fields: Mapping[str, Any]) -> Trained | None:
        """The same training as another job did it, with the threshold that this job chooses by; None where none did."""
        kept = self.donors.training(stage, name, fields)
        if kept is None:
            return None
        try:
            module = build()
            module.load_state_dict(under(kept.tensors, "module."))
            scores = kept.tensors["val_scores"].numpy()
            val = self.figures(scores)
        except (LookupError, RuntimeError, TypeError, ValueError, AttributeError):  # damaged: it is trained again
            return None
        theirs = {key: value for key, value in kept.record.items() if key != "history"}
        return Trained(module, scores, {"taken_from": kept.job, **theirs, **fields, "val": val})
