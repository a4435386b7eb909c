"""The knobs of a depth study: what each may be, and where graftnet.toml sets it. No torch, no Optuna.

A knob is added here, and where a trial reads it (`nas.tuning.depth`) unless it is a setting of the training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from branches.settings import FitSettings
from nas.errors import SearchError
from nas.limits.limits import Limits
from nas.tuning.knobs import Knob, Setting
from search_spaces.architecture import Setting as SpaceSetting

SECONDS = {"parameters": "parameters", "latency": "latency_ms"}  # option -> name in records
SEARCHED = ("macro", "micro")
MOST_NODES = 4
Key = tuple[str, str]  # of graftnet.toml: table and name


@dataclass(frozen=True)
class DepthSettings:
    """What all trials share.

    retrain, tail: how a branch, or the backbone's tail, is trained, beside what is tuned. spaces: the settings of each
    space beside nodes, widths and poolings. draws: architectures of a small search; each trains for `draw_epochs`, the
    best for `epochs`. second: a key of `SECONDS`. first: the project's setting, which the first trial tries.
    """

    retrain: FitSettings
    tail: FitSettings
    spaces: Mapping[str, Mapping[str, SpaceSetting]]
    widths: tuple[int, ...]
    poolings: tuple[str, ...]
    first: Setting = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    second: str = "parameters"
    draws: int = 4
    draw_epochs: int = 1
    epochs: int = 6
    with_tail: bool = False
    latency_batch: int = 1

    def __post_init__(self) -> None:
        if self.second not in SECONDS:
            raise SearchError(f"--second must be one of {', '.join(SECONDS)}, is {self.second!r}.")
        for name in ("draws", "draw_epochs", "epochs"):
            if getattr(self, name) < 1:
                raise SearchError(f"--{name.replace('_', '-')} must be at least 1, is {getattr(self, name)}.")


class DepthKnob(NamedTuple):
    """One thing that a depth study may turn.

    key: where graftnet.toml sets it, in the tables of one attribute. tail: where it does for a branch that is the
    backbone's tail; None where it does nothing there. span: its choices or range (fields of `Knob`) in a study over
    these depths, ascending; None where there is nothing to choose.
    """

    key: Key
    tail: Key | None
    span: Callable[[Sequence[int], DepthSettings], Mapping[str, Any] | None]

    @property
    def of_training(self) -> bool:
        """Whether it is a field of FitSettings, of that name."""
        return self.key[0] == "retrain"


def depth_span(depths: Sequence[int], _: DepthSettings) -> Mapping[str, Any]:
    """Depths in a row are a range of whole numbers, so that what is learned at one depth tells of its neighbours."""
    row = len(depths) > 1 and list(depths) == list(range(depths[0], depths[-1] + 1))
    return {"low": depths[0], "high": depths[-1]} if row else {"choices": tuple(depths)}


DEPTH_KNOBS: Mapping[str, DepthKnob] = {
    "freeze_depth": DepthKnob(("trunk", "freeze_depth"), ("trunk", "freeze_depth"), depth_span),
    "space": DepthKnob(
        ("search", "space"),
        ("branch", "kind"),
        lambda _, settings: {"choices": (*settings.spaces, *(("tail",) if settings.with_tail else ()))},
    ),
    "nodes": DepthKnob(("search", "nodes"), None, lambda *_: {"low": 1, "high": MOST_NODES}),
    "width": DepthKnob(("search", "widths"), None, lambda _, settings: {"choices": settings.widths}),
    "pooling": DepthKnob(
        ("search", "poolings"), ("branch", "pooling"), lambda _, settings: {"choices": settings.poolings}
    ),
    "learning_rate": DepthKnob(
        ("retrain", "learning_rate"),
        ("controls", "tail_learning_rate"),
        lambda *_: {"low": 1e-4, "high": 2e-2, "log": True},
    ),
    "weight_decay": DepthKnob(
        ("retrain", "weight_decay"),
        ("controls", "tail_weight_decay"),
        lambda *_: {"low": 1e-4, "high": 0.3, "log": True},
    ),
    "dropout": DepthKnob(("retrain", "dropout"), None, lambda *_: {"low": 0.0, "high": 0.5}),
    "parameter_penalty": DepthKnob(
        ("search", "parameter_penalty"),
        None,
        lambda _, settings: {"low": 0.01, "high": 1.0, "log": True} if settings.draws > 1 else None,
    ),
}


def depth_knobs(depths: Sequence[int], settings: DepthSettings) -> tuple[Knob, ...]:
    """The knobs of a study over these depths, ascending; what does nothing to a tail is not asked for there."""
    searched = ("space", tuple(settings.spaces))
    spans = {name: (knob, knob.span(depths, settings)) for name, knob in DEPTH_KNOBS.items()}
    return tuple(
        Knob(name, **span, only=None if knob.tail else searched)
        for name, (knob, span) in spans.items()
        if span is not None
    )
