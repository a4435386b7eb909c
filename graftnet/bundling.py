"""A project's branches and images for a bundle that exists: what is added, and what its variants are tried with."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deployment.bundle.change import add_branch
from deployment.bundle.variants import Outcome, Trial, try_variant
from deployment.runtime.files import read_bundle
from deployment.runtime.images import read_normalised
from graftnet.errors import ConfigError
from graftnet.project import Project
from graftnet.serving import grafted
from graftnet.tree import cards_of
from subdatasets.subdataset import Example, read_subdataset

CALIBRATION = 64
BATCH = 16


def add_to_bundle(project: Project, attribute: str, bundle: Path) -> str:
    """Export a grafted branch into a bundle that exists; returns the attribute."""
    folders = grafted(project.tree)
    if attribute not in folders:
        project.source(attribute)
        raise ConfigError(f"{attribute} is not grafted yet; run 'graftnet graft {attribute}' first.")
    return add_branch(bundle, folders[attribute], card=cards_of(project, [attribute]).get(attribute))


def speed_up(project: Project, bundle: Path, kind: str, *, images: int, **how: Any) -> Outcome:
    """Try a variant of a bundle on the project's own images.

    It is calibrated on training images and judged on `images` val images per attribute at most. Test images are left
    alone.
    """
    index = read_bundle(bundle)
    subdatasets = {
        name: read_subdataset(project.source(name), seed=project.config.project.seed) for name in index["branches"]
    }
    preprocessing = index["preprocessing"]
    share = -(-CALIBRATION // len(subdatasets))
    chosen = [example for data in subdatasets.values() for example in _spread(data.split("train"), share)]
    labelled = {}
    for name, data in subdatasets.items():
        if list(data.attribute.values) != index["branches"][name]["values"]:
            raise ConfigError(
                f"{name} has other values in this project than in {bundle}; name the bundle's own project."
            )
        labelled[name] = partial(_batches, _spread(data.split("val"), images), preprocessing)
    calibration = [batch for batch, _ in _batches(chosen[:CALIBRATION], preprocessing)]
    return try_variant(bundle, kind, Trial(calibration=calibration, labelled=labelled, **how))


def _spread(examples: tuple[Example, ...], count: int) -> list[Example]:
    """At most `count` of them, evenly spaced: values that lie in blocks are all met."""
    places = np.linspace(0, len(examples) - 1, num=min(count, len(examples))).round().astype(int)
    return [examples[place] for place in places]


def _batches(
    examples: list[Example], preprocessing: Mapping[str, Any]
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    for start in range(0, len(examples), BATCH):
        part = examples[start : start + BATCH]
        yield (
            np.stack([read_normalised(example.path, preprocessing) for example in part]),
            np.array([example.value for example in part], dtype=np.int64),
        )
