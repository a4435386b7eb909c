"""Example images of a mining, group by group, for its report."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from reports.mining import Strip
from subdatasets.contents import read_image
from subdatasets.mining import Cluster
from subdatasets.subdataset import Example

EXAMPLES = 10
THUMBNAIL = 72  # pixels


def strips_of(positives: Sequence[Example], negatives: Sequence[Example], clusters: Sequence[Cluster]) -> list[Strip]:
    """The first positives, then what is kept and what is removed of each cluster."""
    strips = [Strip("Positives", "", thumbnails(positives[:EXAMPLES]))]
    for number, cluster in enumerate(clusters, 1):
        for verb, members in parted(cluster):
            if members:
                note = f"{len(members):,} images, those nearest to the cluster's centre first"
                chosen = [negatives[row] for row in members[:EXAMPLES]]
                strips.append(Strip(f"Cluster {number}, {verb}", note, thumbnails(chosen)))
    return strips


def parted(cluster: Cluster) -> list[tuple[str, list[int]]]:
    """A cluster's rows that are kept and that are removed, those nearest to its centre first."""
    kept = set(cluster.kept)
    return [
        ("kept", [row for row in cluster.members if row in kept]),
        ("removed", [row for row in cluster.members if row not in kept]),
    ]


def thumbnails(examples: Sequence[Example]) -> tuple[str, ...]:
    """Small pictures of these examples, as data URLs."""
    found = []
    for example in examples:
        image = read_image(example.path)
        image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        found.append(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}")
    return tuple(found)
