"""Predict and decide with an exported branch or bundle, and verify it. Needs numpy and onnxruntime, no torch.

Reading image files needs Pillow beside them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deployment.calibration import calibrated
from deployment.errors import BundleError
from deployment.runtime.checks import bundle_checks
from deployment.runtime.exported import Exported, Floats
from deployment.runtime.files import output_key


class Runtime(Exported):
    """An exported folder at work: image files to values and scores.

    Its arguments and errors are those of `deployment.runtime.exported.Exported`.
    """

    def predict(
        self, images: Sequence[Path | str], *, attributes: Sequence[str] | None = None, batch_size: int = 16
    ) -> list[dict[str, Any]]:
        """One dict per image file: `image` (its path), `attributes`: {name: {value, scores, threshold, calibrated}}.

        `scores` is {value: probability}, and so is `calibrated`, None for a branch without a calibration; `value` is
        the predicted one: of two values the second when its score reaches the threshold, of more the one with the
        highest score. `attributes` None: all of them. Raises: BundleError naming an image that cannot be read, or an
        attribute that the folder does not hold.
        """
        rows = []
        for row in self.answers(images, attributes=attributes, batch_size=batch_size):
            if "error" in row:
                raise BundleError(row["error"].removesuffix("."))
            rows.append(row)
        return rows

    def answers(
        self, images: Sequence[Path | str], *, attributes: Sequence[str] | None = None, batch_size: int = 16
    ) -> Iterator[dict[str, Any]]:
        """As `predict`, one after another as they are done; for an image that cannot be read `image` and `error`.

        Raises: BundleError for what is wrong with the folder or the attributes.
        """
        try:
            from deployment.runtime.images import read_normalised
        except ImportError as error:
            raise BundleError("reading image files needs Pillow: pip install pillow") from error

        self._require_trunk()
        for name in attributes or ():
            self._require(name)
        for start in range(0, len(images), batch_size):
            rows, batch = [], []
            for path in map(Path, images[start : start + batch_size]):
                try:
                    batch.append(read_normalised(path, self.bundle["preprocessing"]))
                    rows.append({"image": str(path)})
                except BundleError as error:
                    rows.append({"image": str(path), "error": f"{error}."})
            scores = self.scores_of_images(np.stack(batch), attributes) if batch else {}
            number = 0
            for row in rows:
                if "error" in row:
                    yield row
                    continue
                decided = {name: self.decide(name, table[number]) for name, table in scores.items()}
                number += 1
                yield {**row, "attributes": decided}

    def decide(self, name: str, scores: Floats) -> dict[str, Any]:
        """Scores (values,) of one image -> `value`, `scores`, `threshold` and `calibrated`, as in `predict`."""
        values, threshold = self.contracts[name]["values"], self.contracts[name]["threshold"]
        positive = len(values) == 2 and float(scores[1]) >= (0.5 if threshold is None else threshold)
        chosen = int(positive) if len(values) == 2 else int(scores.argmax())
        table = dict(zip(values, map(float, scores), strict=True))
        rows = calibrated(self.contracts[name].get("calibration"), scores[None])
        probabilities = None if rows is None else dict(zip(values, rows[0].tolist(), strict=True))
        return {"value": values[chosen], "scores": table, "threshold": threshold, "calibrated": probabilities}

    def verify(self) -> list[dict[str, Any]]:
        """Check every file's SHA-256 and run the golden inputs again; of a bundle also from images to scores.

        One dict per branch, and before them one named "trunk" for a bundle, after them one per joined graph: `branch`,
        `max_relative_error` (1.0 when nothing could be run), `ok`, and `problem` (a sentence, or None).
        """
        return bundle_checks(self)

    def _require_trunk(self) -> None:
        for name, contract in self.contracts.items():
            if contract["fingerprint"] != self.bundle["fingerprint"]:
                raise BundleError(
                    f"branch {name!r} belongs to trunk {contract['fingerprint']}, the trunk beside it is "
                    f"{self.bundle['fingerprint']}: export them together again"
                )
            if output_key(contract) not in self.bundle["outputs"]:
                raise BundleError(
                    f"branch {name!r} sits after {contract['freeze_depth']} blocks, where the trunk beside it gives no "
                    f"map: export them together again"
                )
