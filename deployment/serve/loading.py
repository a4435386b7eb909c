"""A bundle, read, verified and run once before it answers anybody."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from deployment.errors import BundleError
from deployment.rules import Rules
from deployment.runtime import Runtime
from deployment.runtime.images import normalised

Floats = npt.NDArray[np.float32]


class LoadedBundle:
    """A verified bundle in memory, and the rules for it; its folder may change or go without disturbing it.

    Raises: BundleError with one sentence for anything that keeps it from answering.
    """

    def __init__(
        self, folder: Path, *, threads: int = 0, device: str = "cpu", graph: str = "parts", rules: Path | None = None
    ) -> None:
        index = folder / "bundle.json"
        try:
            data = index.read_bytes()
            self.runtime = Runtime(folder, threads=threads, device=device, graph=graph)
            failed = [check["problem"] for check in self.runtime.verify() if not check["ok"]]
            if failed:
                raise BundleError(f"{folder} is not what was exported ({'; '.join(failed)}): export it again")
            self.preprocessing: Mapping[str, Any] = self.runtime.bundle["preprocessing"]
            self.fingerprint: str = self.runtime.bundle["fingerprint"]
            self.attributes: tuple[str, ...] = tuple(self.runtime.branches)
            self.rules = None if rules is None else Rules.read(rules, self.runtime.contracts)
            self._rehearse()
        except BundleError:
            raise
        except FileNotFoundError as error:
            raise BundleError(
                f"{folder} holds no {Path(error.filename or index).name}: name a folder that `graftnet export` wrote"
            ) from error
        except Exception as error:  # a damaged record fails in whichever way its reader does
            detail = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BundleError(f"{folder} cannot be served ({detail}): export it again") from error
        self.identity = hashlib.sha256(data).hexdigest()

    def scores(self, images: Floats, attributes: Sequence[str]) -> dict[str, Floats]:
        """Normalised images (N, 3, S, S) -> {attribute: scores (N, values)}, for these attributes alone."""
        return self.runtime.scores_of_images(images, attributes)

    def needed(self, attributes: Sequence[str]) -> tuple[str, ...]:
        """These attributes and those that a rule asks about, each once."""
        return tuple(dict.fromkeys((*attributes, *(self.rules.attributes if self.rules else ()))))

    def answer(self, scores: Mapping[str, Floats], attributes: Sequence[str]) -> dict[str, Any]:
        """Of one picture, {attribute: scores (values,)} -> `attributes` decided, and with rules the `action` or None.

        `scores` are those of the `needed` attributes. The action counts as taken.
        """
        decided = {name: self.runtime.decide(name, table) for name, table in scores.items()}
        shown = {"attributes": {name: decided[name] for name in attributes}}
        if self.rules is None:
            return shown
        action = self.rules.decide(decided, time.monotonic())
        return {**shown, "action": None if action is None else action.to_json()}

    def contract(self) -> dict[str, Any]:
        """What a client may ask for: per attribute its values, threshold, metrics, and whether it is calibrated."""
        kept = ("values", "threshold", "metrics")
        attributes = {
            name: {**{key: contract.get(key) for key in kept}, "calibrated": contract.get("calibration") is not None}
            for name, contract in self.runtime.contracts.items()
        }
        return {"bundle": self.identity, "fingerprint": self.fingerprint, "attributes": attributes}

    def _rehearse(self) -> None:
        """All attributes at once and each alone, from pixels to values: every session is made."""
        grey = normalised(Image.new("RGB", (40, 30), (128, 128, 128)), self.preprocessing)
        for name, scores in self.scores(np.stack([grey, grey]), self.attributes).items():
            self.runtime.decide(name, scores[0])
            self.scores(grey[None], [name])
