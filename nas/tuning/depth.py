"""Trials of `graftnet tune depth`: a small search at one depth of the trunk, with one recipe.

A setting of the study says where the trunk is cut, what a branch may be made of and how it is trained. A trial finds
out what a search so set would end with, for a fraction of its cost, the way a search does: a few architectures are
drawn from the space, each is trained for an epoch, the one with the best val score less its penalty is trained from
scratch for some more. Its val score and what it costs are the two objectives. Trials of the same space draw the same
architectures, so that they differ by what else was set.

GraftNet's engineering paper, section 4.2: "We experiment several choices to determine which blocks to freeze or to
train." Its branch, the backbone's own blocks fine-tuned, is the space `tail`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from branches.branch import Branch, FeatureShape
from branches.compression import on_trunk
from branches.costs.architecture import branch_costs
from branches.costs.latency import latency
from branches.costs.module import parameters
from branches.layers import ProbeStart
from branches.probe import linear_probe
from branches.settings import FitSettings
from branches.training import Fit, fit
from foundation.provenance import seed_of
from nas.errors import SearchError
from nas.job.choosing.winner import standard_error
from nas.job.contest import draw_distinct
from nas.job.stages.probe_start import with_shortcut
from nas.limits.allowed import Allowed
from nas.limits.limits import Cost
from nas.tuning.depth_knobs import DEPTH_KNOBS, SECONDS, DepthSettings, depth_knobs
from nas.tuning.knobs import Knob, Setting, nearest
from nas.tuning.study import Outcome, PrunedError, Watch
from search_spaces import Architecture, Space, space_from_json
from trunk.features.source import LabelledFeatures


class Depth(NamedTuple):
    """One place to cut the trunk: the features there, and what builds the tail behind it (pooling -> builder)."""

    train: LabelledFeatures
    val: LabelledFeatures
    tail: Callable[[str], Callable[[torch.Generator], nn.Module]] | None = None


@dataclass(frozen=True)
class DepthObjective:
    """Trials on one attribute's features at several depths; `seed` is the study's, for what trials share."""

    depths: Mapping[int, Depth]
    settings: DepthSettings
    seed: int
    device: torch.device

    @cached_property
    def starts(self) -> dict[int, ProbeStart]:
        """The probes that were fitted so far, by depth."""
        return {}

    @cached_property
    def knobs(self) -> tuple[Knob, ...]:
        return depth_knobs(sorted(self.depths), self.settings)

    @property
    def first(self) -> Setting:
        return nearest(self.knobs, self.settings.first)

    @property
    def second(self) -> str:
        return SECONDS[self.settings.second]

    def __call__(self, setting: Setting, *, seed: int, watch: Watch) -> Outcome:
        depth = self.depths[int(setting["freeze_depth"])]
        recipe = self.recipe(setting)
        if setting["space"] == "tail":
            assert depth.tail is not None
            build, about = depth.tail(str(setting["pooling"])), {}
        else:
            start = self.start(int(setting["freeze_depth"]))
            architecture, tried = self.searched(setting, depth, recipe, start, seed)
            build = partial(built, architecture, depth.train.features.shape, depth.train.values, recipe.dropout, start)
            about = {"architecture": architecture.to_json(), "identity": architecture.identity, "draws": tried}
        module = build(torch.Generator().manual_seed(seed_of(seed, "weights")))
        shape = depth.train.trunk_shape
        details: dict[str, Any] = {**about, "parameters": parameters(on_trunk(module, depth.train.features))}
        if self.second == "latency_ms" or self.settings.limits.latency_ms:
            details["latency_ms"] = self.latency(module, depth, shape)
            self.require_fast(details["latency_ms"], details)
        fitted = self.trained(module, depth, recipe, seed, details, watch)
        labels = depth.val.labels.numpy()
        details["standard_error"] = standard_error(
            fitted.val_scores, labels, recipe.metric, seed=seed_of(self.seed, "bootstrap")
        )
        return Outcome(fitted.val_score, float(details[self.second]), details)

    def recipe(self, setting: Setting) -> FitSettings:
        """How the trial's branch is trained."""
        base = self.settings.tail if setting["space"] == "tail" else self.settings.retrain
        names = [name for name, knob in DEPTH_KNOBS.items() if knob.of_training and name in setting]
        tuned: dict[str, Any] = {DEPTH_KNOBS[name].key[1]: float(setting[name]) for name in names}
        return replace(base, **tuned)

    def space(self, setting: Setting) -> Space:
        """The search space that a setting describes: one width, one pooling, at most so many nodes."""
        name, nodes = str(setting["space"]), int(setting["nodes"])
        given = dict(self.settings.spaces[name])
        depths = {"depths": tuple(range(1, nodes + 1))} if name == "macro" else {}
        chosen = {"nodes": nodes, "widths": (int(setting["width"]),), "poolings": (str(setting["pooling"]),)}
        space = space_from_json(name, {**given, **chosen, **depths})
        return with_shortcut(space) if self.settings.retrain.probe_start and not self.settings.limits else space

    def start(self, number: int) -> ProbeStart | None:
        """The probe that branches of this depth begin at, as those of a search do; fitted once."""
        if not self.settings.retrain.probe_start:
            return None
        if number not in self.starts:
            depth = self.depths[number]
            self.starts[number] = linear_probe(depth.train, depth.val, metric=self.settings.retrain.metric).start
        return self.starts[number]

    def searched(
        self, setting: Setting, depth: Depth, recipe: FitSettings, start: ProbeStart | None, seed: int
    ) -> tuple[Architecture, list[dict[str, Any]]]:
        """The best of a few architectures after a short training, by val score less the penalty; and all of them."""
        drawn = self.drawn(self.space(setting), depth.train)
        short = replace(recipe, epochs=self.settings.draw_epochs)
        penalty = float(setting.get("parameter_penalty", 0.0))
        tried = []
        for number, architecture in enumerate(drawn):
            size = branch_costs(architecture, depth.train.trunk_shape, depth.train.values).parameters
            own = seed_of(seed, "draw", number)
            shape = depth.train.features.shape
            generator = torch.Generator().manual_seed(own)
            module = built(architecture, shape, depth.train.values, recipe.dropout, start, generator)
            score = fit(module, depth.train, depth.val, short, seed=own, device=self.device).val_score
            tried.append({"parameters": size, "score": score, "penalised": score - penalty * size / 1e6})
        best = max(range(len(tried)), key=lambda number: tried[number]["penalised"])
        return drawn[best], tried

    def drawn(self, space: Space, train: LabelledFeatures) -> list[Architecture]:
        """Different architectures of a space, within the limits of parameters and MACs; the same for the same space.

        Raises PrunedError where no architecture keeps the limits.
        """
        space_text = f"{space.name} {sorted(space.settings.items())}"
        rng = np.random.default_rng(seed_of(self.seed, "architectures", space_text))
        limits = replace(self.settings.limits, latency_ms=0)
        draw: Callable[[np.random.Generator], Architecture] = space.random
        if limits:
            try:
                draw = Allowed(
                    space,
                    limits,
                    lambda architecture: Cost(*branch_costs(architecture, train.trunk_shape, train.values)),
                    seed=seed_of(self.seed, "limits"),
                ).uniform
            except SearchError as error:
                raise PrunedError(str(error), {}) from error
        return draw_distinct(space, self.settings.draws, rng, draw)

    def latency(self, module: nn.Module, depth: Depth, shape: FeatureShape) -> float:
        """Median milliseconds of one batch through the branch, as it would be deployed."""
        deployed = on_trunk(module, depth.train.features).to(self.device)
        return latency(deployed, shape, device=self.device, batch=self.settings.latency_batch).milliseconds

    def require_fast(self, measured: float, details: Mapping[str, Any]) -> None:
        """Raises PrunedError where the branch is above the limit of latency."""
        most = self.settings.limits.latency_ms
        if most and measured > most:
            raise PrunedError(f"it takes {measured:.3g} ms, allowed are {most:g}", details)

    def trained(
        self, module: nn.Module, depth: Depth, recipe: FitSettings, seed: int, details: dict[str, Any], watch: Watch
    ) -> Fit:
        """Train to the end, or raise PrunedError as soon as `watch` has a reason."""
        best: list[float] = []
        reasons: list[str] = []

        def after_epoch(_stage: str, epoch: int, _epochs: int, record: Mapping[str, float]) -> None:
            best.append(max([record["val_score"], *best[-1:]]))
            if epoch < self.settings.epochs and (reason := watch(epoch, best[-1], float(details[self.second]))):
                reasons.append(reason)

        fitted = fit(
            module,
            depth.train,
            depth.val,
            replace(recipe, epochs=self.settings.epochs),
            seed=seed_of(seed, "training"),
            device=self.device,
            progress=after_epoch,
            stop=lambda: bool(reasons),
        )
        details["best"] = best
        if reasons:
            raise PrunedError(reasons[0], details)
        best += best[-1:] * (self.settings.epochs - len(best))  # one that diverged ended early
        return fitted


def built(
    architecture: Architecture,
    shape: FeatureShape,
    values: int,
    dropout: float,
    start: ProbeStart | None,
    generator: torch.Generator,
) -> Branch:
    """A branch of freshly drawn weights, beginning at the probe where there is one."""
    branch = Branch(architecture, shape, values, dropout=dropout, generator=generator)
    if start is not None:
        branch.begin_at(start)
    return branch
