"""The tail space: the backbone's own remaining blocks as a branch, how many are kept and what pools their map.

GraftNet's engineering paper, section 3.3 and Table 3: the default branch is the rest of the backbone, fine-tuned; for
one attribute it was cut short and ended in bilinear pooling. Such a branch is chosen by hand (each decision with one
choice) and not searched: it starts from the trunk's weights, which a search's shared weights do not hold.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from search_spaces.architecture import Architecture, Setting
from search_spaces.decisions import Decision, Space
from search_spaces.errors import SpaceError
from search_spaces.operations import HEAD_POOLINGS, POOLED, POOLINGS
from search_spaces.setting_checks import listed, whole, widths_listed

MAX_BLOCKS = 1000


class TailPlan(NamedTuple):
    """What to build: blocks `freeze_depth` .. `blocks` - 1 of the backbone, then the pooling.

    Before a pooling that is projected (`POOLED`) a 1x1 convolution brings the map to `width` channels; others have no
    use for it.
    """

    backbone: str
    freeze_depth: int
    blocks: int
    pooling: str
    width: int

    def described(self) -> str:
        """In words: "blocks 6 to 7 of inception_v3, bilinear pooling at width 64"."""
        last = self.blocks - 1
        which = f"block {last}" if self.freeze_depth == last else f"blocks {self.freeze_depth} to {last}"
        at = f" at width {self.width}" if POOLED[self.pooling].projected else ""
        return f"{which} of {self.backbone}, {self.pooling} pooling{at}"


def tail_space(
    freeze_depth: int = 8,
    *,
    backbone: str = "inception_v3",
    blocks: Sequence[int] = (11,),
    poolings: Sequence[str] = HEAD_POOLINGS,
    widths: Sequence[int] = (64,),
) -> Space:
    """The tails of a backbone behind `freeze_depth` blocks; each of `blocks` is how many the backbone has then in all.

    Decisions in order: blocks, head pooling, width (of bilinear pooling).

    Raises: SpaceError naming the setting that is out of range, empty, repeated or unknown.

    >>> [decision.choices for decision in tail_space(6, blocks=(8,), poolings=("bilinear",)).decisions]
    [(8,), ('bilinear',), (64,)]
    """
    whole("tail", "freeze_depth", freeze_depth, MAX_BLOCKS)
    for count in listed("tail", "blocks", blocks):
        whole("tail", "every number of blocks", count, MAX_BLOCKS)
        if cast(int, count) <= freeze_depth:
            raise SpaceError(
                f"tail space: every number of blocks must be above the freeze depth ({freeze_depth}), got {count}"
            )
    settings: dict[str, Setting] = {
        "freeze_depth": freeze_depth,
        "backbone": backbone,
        "blocks": tuple(blocks),
        "poolings": listed("tail", "poolings", poolings, POOLINGS),
        "widths": widths_listed("tail", widths),
    }
    decisions = (
        Decision("blocks", tuple(blocks), "depth"),
        Decision("head.pooling", tuple(poolings), "pooling"),
        Decision("width", tuple(widths), "width"),
    )
    return Space("tail", settings, decisions, canonical=_canonical)


@lru_cache(maxsize=256)
def tail_plan(architecture: Architecture) -> TailPlan:
    """Choices -> what to build. Raises: SpaceError for another space's architecture."""
    if architecture.space != "tail":
        raise SpaceError(f"only an architecture of the 'tail' space has a tail plan, got {architecture.space!r}")
    settings = dict(architecture.settings)
    return TailPlan(
        cast(str, settings["backbone"]),
        cast(int, settings["freeze_depth"]),
        cast(int, architecture["blocks"]),
        cast(str, architecture["head.pooling"]),
        cast(int, architecture["width"]),
    )


def _canonical(architecture: Architecture) -> tuple[object, ...]:
    plan = tail_plan(architecture)
    return plan if POOLED[plan.pooling].projected else plan._replace(width=0)
