"""The linear probe against scikit-learn's own pipeline, and as a module."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from branches.measures.metrics import REWARDS
from branches.probe import linear_probe, moments, standardise
from trunk.features.source import ArrayFeatures, LabelledFeatures


def split(seed: int, values: int, count: int = 150) -> LabelledFeatures:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(values), rng.integers(values, size=count - values)])
    scale = np.logspace(-1, 2, 8)[:, None, None]
    features = (rng.normal(size=(count, 8, 2, 2)) + np.eye(values, 8)[labels][:, :, None, None]) * scale
    features[:, 7] = 3.0  # a dead channel
    return LabelledFeatures(ArrayFeatures(features.astype(np.float32)), torch.from_numpy(labels), values)


@pytest.mark.parametrize("values", [2, 3])
def test_scores_are_those_of_the_scikit_learn_pipeline(values: int) -> None:
    train, val, test = (split(seed, values) for seed in range(3))
    probe = linear_probe(train, val)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=probe.inverse_penalty, tol=1e-8, max_iter=2000))
    x = [part.features.gather(torch.arange(len(part))).mean((2, 3)).numpy() for part in (train, test)]
    reference.fit(x[0], train.labels.numpy())
    np.testing.assert_allclose(probe.scores(test.features), reference.predict_proba(x[1]), atol=2e-3)


@pytest.mark.parametrize("values", [2, 3])
def test_val_chooses_the_penalty(values: int) -> None:
    train, val = split(0, values), split(1, values)
    probe = linear_probe(train, val)
    best = max(record["val_score"] for record in probe.curve)
    assert probe.val_score == pytest.approx(best, abs=2e-3)
    assert probe.val_score == REWARDS["auroc"](probe.val_scores, val.labels.numpy())
    assert probe.parameters == (8 + 1) * values


def test_the_module_gives_the_same_scores_and_nothing_is_random() -> None:
    train, val = split(0, 2), split(1, 2)
    first, second = linear_probe(train, val), linear_probe(train, val)
    assert np.array_equal(first.val_scores, second.val_scores)
    logits = first.module(val.features.gather(torch.arange(len(val))))
    np.testing.assert_allclose(logits.softmax(1).detach().numpy(), first.val_scores, atol=1e-6)


@pytest.mark.parametrize("shape", [(500, 33), (41, 2), (30, 1), (1, 5)])
def test_columns_are_standardised_as_the_whole_is_to_the_bit(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(3, 5, size=shape).astype(np.float32)
    wide = x.astype(np.float64)
    for limit in (1, 8 * 3 * shape[0], 2**20):
        monkeypatch.setattr("branches.probe.COLUMN_BYTES", limit)
        mean, deviation = moments(x)
        assert np.array_equal(mean, wide.mean(0))
        assert np.array_equal(deviation, wide.std(0))
        own = x.copy()
        standardise(own, mean, deviation + 1)
        assert np.array_equal(own, ((wide - mean) / (deviation + 1)).astype(np.float32))
