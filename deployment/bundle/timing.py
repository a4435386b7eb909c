"""How long sessions take on the device at hand, side by side.

The machine drifts, so they take turns, and the medians are kept.
"""

import statistics
import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnxruntime

WARM_UP = 2


def medians(
    sessions: Mapping[str, onnxruntime.InferenceSession], images: npt.NDArray[np.float32], *, rounds: int
) -> dict[str, float]:
    """Median milliseconds of one run of each session on `images` (N, 3, S, S), all outputs asked for."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(WARM_UP + rounds):
        for name in list(sessions)[:: 1 if turn % 2 else -1]:
            session = sessions[name]
            started = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: images})
            if turn >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in times.items()}
