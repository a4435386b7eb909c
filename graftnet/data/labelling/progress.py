"""Progress of a labelling: how good the branch would be now, how that grew with the labels, whether more would help.

The figures are of the probe, on the val pictures labelled so far; the intervals are of a bootstrap over these (95 %).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from branches.measures.depths import bootstrap
from branches.measures.metrics import Floats, Labels, auroc
from graftnet.data.labelling.fitting import Rows, fitted_scores
from subdatasets.reading.rows import FEW, too_few_words

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the labels, in the order they were given: the learning curve
HELPS = 0.01  # of AUROC: less than this is no help
DRAWS = 300


def measured(
    rows: Rows, train: tuple[Labels, Labels], val: tuple[Labels, Labels], values: Sequence[str], scores: Floats | None
) -> dict[str, Any]:
    """What the page says of the labels so far.

    Args:
        rows: (N, K) of the whole pool.
        train: numbers of rows in the order they were labelled, and their labels.
        val: likewise.
        values: of the attribute.
        scores: (N, V) of the fit on all of train.

    Returns:
        ``sentence`` always; ``auroc``, ``low``, ``high`` and ``curve`` (pairs of labels and AUROC) where there are
        enough val pictures; ``gain`` with its interval, of the second half of the labels.
    """
    numbers, labels = val
    counts = np.bincount(labels, minlength=len(values))
    rarest = int(counts.argmin())
    if scores is None:
        return {"sentence": "No figure yet: label pictures of each value."}
    if counts[rarest] < FEW:
        said = too_few_words(values[rarest], int(counts[rarest]), "val")
        return {"sentence": f"No figure yet: {said}."}
    curve: list[tuple[int, Floats]] = []
    for share in SHARES:
        count = max(1, round(share * len(train[0])))
        part = scores if share == 1 else fitted_scores(rows, train[0][:count], train[1][:count], len(values))
        if part is not None:
            curve.append((count, part[numbers]))
    draws = bootstrap([each for _, each in curve], labels, seed=0, draws=DRAWS)
    low, high = np.quantile(draws[:, -1], (0.025, 0.975)).tolist()
    score = auroc(curve[-1][1], labels)
    record = {"auroc": score, "low": low, "high": high, "val": len(numbers)}
    record["curve"] = [(count, auroc(each, labels)) for count, each in curve]
    now = f"A branch would be at about {score:.2f} AUROC now ({low:.2f} to {high:.2f}, {len(numbers)} val pictures)."
    half = [place for place, (count, _) in enumerate(curve) if count <= round(len(train[0]) / 2)]
    if not half:
        return {**record, "sentence": now}
    before = half[-1]
    gains = draws[:, -1] - draws[:, before]
    gain = score - auroc(curve[before][1], labels)
    least, most = np.quantile(gains, (0.025, 0.975)).tolist()
    record["gain"] = {"of": len(train[0]) - curve[before][0], "auroc": gain, "low": least, "high": most}
    return {**record, "sentence": f"{now} {advice(record['gain'])}"}


def advice(gain: dict[str, float]) -> str:
    """Whether more labels help, by what the second half of them did.

    >>> advice({"of": 100, "auroc": 0.03, "low": 0.01, "high": 0.05})
    'More labels help: the last 100 of train added 0.030 (0.010 to 0.050).'
    """
    told = f"the last {gain['of']:.0f} of train added {gain['auroc']:.3f} ({gain['low']:.3f} to {gain['high']:.3f})"
    if gain["high"] < HELPS:
        return f"More labels hardly help: {told}."
    if gain["low"] > 0:
        return f"More labels help: {told}."
    return f"Whether more labels help is not told yet: {told}."
