"""Pictures that may be asked about, one per content, with the trunk's averages of all depths.

A picture that lies under several names is asked about once. What cannot be shown or kept in a table is left out and
counted, not an error: a folder of somebody's pictures holds all kinds of files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.history import Progress
from graftnet.errors import ConfigError
from subdatasets.errors import DataError
from subdatasets.image_files import content_hashes, inspect_images
from subdatasets.reading.problems import Reading
from subdatasets.reading.tables import Locations
from subdatasets.reading.walk import images_below
from trunk.features.averages import AverageCache

Rows = NDArray[np.float32]
UNSEEN = " \t\r\n\u00a0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"  # at the end of a cell; whoever reads drops them


@dataclass(frozen=True)
class Pool:
    """contents: in the order of ``rows`` (N, C); paths: of each content one file; left_out: reason -> files."""

    contents: tuple[str, ...]
    paths: Mapping[str, Path]
    rows: Rows
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def number(self) -> dict[str, int]:
        """The row of each content."""
        return {content: row for row, content in enumerate(self.contents)}


def found_pictures(folder: Path, besides: Iterable[Path] = ()) -> tuple[list[Path], dict[str, int]]:
    """The pictures below a folder, sorted, and by reason how many files are left out."""
    reading = Reading(folder.name, folder)
    found = list(images_below(folder.absolute(), reading, besides=list(besides)))
    return found, dict(reading.passed_over)


def keepable(paths: Sequence[Path], locations: Locations) -> tuple[list[Path], int]:
    """Those of the paths that a table's cell can hold, and the number of the others."""
    kept = [path for path in paths if path.is_file() and fits_a_cell(locations.cell(path))]
    return kept, len(paths) - len(kept)


def fits_a_cell(cell: str) -> bool:
    """Whether a path is read from a table as it was written.

    >>> fits_a_cell("a b,c.jpg"), fits_a_cell(" a.jpg"), fits_a_cell("a\\udcff.jpg")
    (True, False, False)
    """
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return cell == cell.strip(UNSEEN).strip() and "\r" not in cell


def open_pool(
    averages: AverageCache,
    hashes: Mapping[Path, str],
    left_out: Mapping[str, int],
    progress: Progress | None = None,
) -> Pool:
    """Have the trunk look at every picture that it has not seen, and read what it keeps of each.

    Args:
        averages: where that is kept, for every attribute alike.
        hashes: the content of each file; of equal ones the first is shown.
        left_out: what was left out before.
        progress: hears the stages "averages" and "images".

    Raises:
        ConfigError: no picture is left.
    """
    paths: dict[str, Path] = {}
    for path, content in hashes.items():
        paths.setdefault(content, path)
    reasons = dict(left_out)
    if copies := len(hashes) - len(paths):
        reasons["copies of another picture, asked about once"] = copies
    try:
        averages.fill(paths, progress=progress)
    except DataError:
        # One of them is no picture; which others are not, only decoding tells, and only what is not cached is decoded.
        known = averages.read_index()[1]
        waiting = [(content, path) for content, path in paths.items() if content not in known]
        looked = inspect_images([path for _, path in waiting], progress=progress)
        broken = [content for content, path in waiting if looked[path][1] is not None]
        for content in broken:
            del paths[content]
        reasons["pictures that cannot be decoded"] = len(broken)
        averages.fill(paths, progress=progress)
    if not paths:
        raise ConfigError("There is no picture to label; name a folder that holds some.")
    contents = tuple(paths)
    return Pool(contents, paths, averages.read(contents), {reason: count for reason, count in reasons.items() if count})


def hashed(paths: Sequence[Path], progress: Progress | None = None) -> dict[Path, str]:
    """The content of each file, in the order given."""
    return content_hashes(paths, progress=progress)
