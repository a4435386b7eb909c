"""The probe of the trunk's depths on what is labelled so far: scores of the whole pool, and how good it is on val.

Logistic regression on the averages of all depths, standardised over the pool and turned into their principal
components, once; between two pages a fit then takes a fraction of a second. Only train is fitted, val judges, and the
test split is not looked at.
"""

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from branches.measures.metrics import Floats, Labels

Rows = npt.NDArray[np.float32]
COMPONENTS = 256
FIT_ON = 5000  # rows of the pool that the components are found on
CHUNK = 4096  # rows that are turned at a time
PENALTY = 1e-3  # inverse, scikit-learn's C


def reduced(averages: Rows, *, seed: int, components: int = COMPONENTS) -> Rows:
    """The averages (N, C), standardised, as their principal components (N, K); they keep their lengths."""
    chosen = averages[np.sort(np.random.default_rng(seed).permutation(len(averages))[:FIT_ON])]
    mean, deviation = chosen.mean(0, dtype=np.float64), chosen.std(0, dtype=np.float64)
    deviation[deviation < 1e-12] = 1.0

    def standardised(rows: Rows) -> Rows:
        even: Rows = ((rows - mean) / deviation).astype(np.float32)
        return even

    count = min(components, *chosen.shape)
    with threadpool_limits(1):
        basis = PCA(count, svd_solver="randomized", random_state=seed).fit(standardised(chosen))
        parts = [averages[start : start + CHUNK] for start in range(0, len(averages), CHUNK)]
        turned: Rows = np.concatenate([basis.transform(standardised(part)) for part in parts]).astype(np.float32)
    return turned


def fitted_scores(rows: Rows, known: Labels, labels: Labels, values: int, *, penalty: float = PENALTY) -> Floats | None:
    """Scores (N, V) of all rows by a fit on those that are known; None while these hold one value alone."""
    there = np.unique(labels)
    if len(there) < 2:
        return None
    model = LogisticRegression(C=penalty, max_iter=200, tol=1e-3)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = model.fit(rows[known], labels).predict_proba(rows)
    scores = np.zeros((len(rows), values))
    scores[:, there] = found
    return scores
