"""Tiny features that tell two values apart, by their mean in some channels and by a spatial pattern."""

import numpy as np
import pytest
import torch

from nas.settings import JobData
from trunk.features.source import ArrayFeatures, LabelledFeatures


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_split(count: int, seed: int, values: int = 2) -> LabelledFeatures:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % values
    features = rng.normal(size=(count, 6, 3, 3)).astype(np.float32)
    features[:, 0] += 0.7 * labels[:, None, None]
    features[:, 1, 0, 0] += 2.0 * (labels == 1)
    return LabelledFeatures(ArrayFeatures(features), torch.from_numpy(labels), values)


@pytest.fixture
def data() -> JobData:
    return JobData("toy", ("no", "yes"), make_split(96, 0), make_split(60, 1), make_split(80, 2))
