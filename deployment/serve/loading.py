"""Load a bundle, verified and run once before it answers anybody, and exchange it when the one on disk changes.

A change is acted upon when the folder looks the same at two looks in a row, so that a copy under way is left alone. A
new bundle is loaded whole beside the old one, and verified; requests that began on the old one end on it. A bad one is
refused, once, and the old one stays until the folder changes again. A file of rules (`also`) is watched with it.
"""

import asyncio
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from deployment.errors import BundleError
from deployment.rules import Relations, Rules
from deployment.runtime import Runtime
from deployment.runtime.checks import problems_of
from deployment.runtime.images import normalised
from deployment.serve.metrics import Metrics

Floats = npt.NDArray[np.float32]
Signature = tuple[tuple[str, int, int, int], ...]
PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\][^\s,;:'\")]+")
logger = logging.getLogger("graftnet.serve")


class LoadedBundle:
    """A verified bundle in memory, and the rules for it; its folder may change or go without disturbing it.

    Raises: BundleError with one sentence for anything that keeps it from answering.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int = 0,
        device: str = "cpu",
        graph: str = "parts",
        rules: Path | None = None,
        relations: Path | None = None,
        repair: bool = False,
    ) -> None:
        index = folder / "bundle.json"
        try:
            data = index.read_bytes()
            self.runtime = Runtime(folder, threads=threads, device=device, graph=graph)
            if problems := problems_of(self.runtime):
                raise BundleError(f"{folder} is not what was exported ({'; '.join(problems)}): export it again")
            self.preprocessing: Mapping[str, Any] = self.runtime.bundle["preprocessing"]
            self.fingerprint: str = self.runtime.bundle["fingerprint"]
            self.attributes: tuple[str, ...] = tuple(self.runtime.branches)
            self.rules = None if rules is None else Rules.read(rules, self.runtime.contracts)
            self.relations = (
                None if relations is None else Relations.read(relations, self.runtime.contracts, repair=repair)
            )
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
        """These attributes and those that a rule or a relation asks about, each once."""
        asked = [each.attributes for each in (self.rules, self.relations) if each]
        return tuple(dict.fromkeys((*attributes, *(name for names in asked for name in names))))

    def answer(self, scores: Mapping[str, Floats], attributes: Sequence[str]) -> dict[str, Any]:
        """Of one picture, {attribute: scores (values,)} -> `attributes` decided, and with rules the `action` or None.

        With relations also what they say of it, and rules decide on what was repaired. `scores` are those of the
        `needed` attributes. The action counts as taken.
        """
        decided = {name: self.runtime.decide(name, table) for name, table in scores.items()}
        more: dict[str, Any] = {}
        if self.relations is not None:
            decided, more["relations"] = self.relations.judged(decided)
        shown = {"attributes": {name: decided[name] for name in attributes}, **more}
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


class Reloader:
    """`current` is what requests are answered with; `refused` what keeps the bundle on disk from taking its place.

    Raises: BundleError when the first bundle cannot be served.
    """

    def __init__(
        self, folder: Path, load: Callable[[Path], LoadedBundle], metrics: Metrics, *, also: Path | None = None
    ) -> None:
        self.folder = folder
        self.also = also
        self.load = load
        self.metrics = metrics
        self._tried = self._seen = signature(folder, also)
        self.current = load(folder)
        self.refused: dict[str, Any] | None = None
        metrics.attributes.set(len(self.current.attributes))

    def look(self) -> None:
        """One look at the folder, and what follows from it; takes as long as loading does."""
        now = signature(self.folder, self.also)
        settled, self._seen = now == self._seen, now
        if now == self._tried or not settled:
            return
        try:
            fresh = self.load(self.folder.absolute())  # so that the sentence of an error can lose the whole path
            if signature(self.folder, self.also) != now:
                return  # changed while it was read: look again
        except BundleError as error:
            problem = without_paths(str(error), [self.folder, *([self.also] if self.also else [])])
            self.refused = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "problem": problem}
            self.metrics.reloads.labels("refused").inc()
            self.metrics.bundle_refused.set(1)
            logger.warning("the changed bundle is refused, the old one stays: %s", error)
        else:
            self.current, self.refused = fresh, None
            self.metrics.reloads.labels("loaded").inc()
            self.metrics.bundle_refused.set(0)
            self.metrics.attributes.set(len(fresh.attributes))
            logger.warning("serving the changed bundle: %s", ", ".join(fresh.attributes))
        self._tried = now

    async def watch(self, poll: float) -> None:
        """Look every `poll` seconds, in a thread, until cancelled."""
        while True:
            await asyncio.sleep(poll)
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # a disk that fails for a moment must not end the watch
                logger.exception("the bundle could not be looked at")


def without_paths(problem: str, paths: Sequence[Path]) -> str:
    """A sentence for strangers: files of a folder are named from it on, and no other path stays."""
    for path in paths:
        for known in dict.fromkeys((str(path.absolute()), str(path.resolve()))):
            problem = problem.replace(f"{known}{os.sep}", "").replace(known, path.absolute().name)
    return PATH.sub("...", problem)


def signature(folder: Path, also: Path | None = None) -> Signature:
    """What tells two states of a folder, and a file beside it, apart without reading them.

    (path, size, mtime in ns, inode) of every file.
    """
    paths = [os.path.join(above, name) for above, _, names in os.walk(folder) for name in names]
    files = []
    for path in [*paths, *([str(also)] if also else [])]:
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            continue  # renamed away between two calls; the next look sees what came instead
        files.append((path, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(sorted(files))
