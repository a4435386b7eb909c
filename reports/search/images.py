"""Section of single images: the surest mistakes, where the branch looked, examples of each value.

Maps over images as in INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee),
figure 5.
"""

import base64
import binascii
import io
import re

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from reports.layout.formats import count, score, share
from reports.layout.pages import Gallery, Photo, Section
from reports.summaries.search import Records
from reports.summaries.values import items, number, numbers, table, text

DATA_URL = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")
NOT_WRITTEN = "pictures.json, which a search writes at its end, is not in this folder"
SIDE = 96  # pixels that an overlay is drawn on
STRENGTH = 0.72  # how much of the image the strongest place hides
COLOURS = "inferno"  # told apart by lightness alone
Pixels = NDArray[np.uint8]


def images_section(records: Records) -> Section:
    """The surest mistakes, and class activation maps of a few images."""
    anchor, title = "images", "Mistakes, and where the branch looks"
    if not records.pictures:
        return Section(anchor, title, missing=(NOT_WRITTEN,))
    missing = [entry for entry in map(text, items(records.pictures.get("missing"))) if entry]
    activation = table(records.pictures.get("activation"))
    if why := text(activation.get("missing")):
        missing.append(why)
    galleries = [gallery for gallery in (_mistakes(records), _maps(activation)) if gallery]
    return Section(anchor, title, galleries=tuple(galleries), missing=tuple(missing))


def example_gallery(records: Records) -> Gallery | None:
    """A few training images of each value."""
    photos = []
    for entry in map(table, items(records.pictures.get("examples"))):
        source, label = _source(entry), text(entry.get("label"))
        if source and label:
            photos.append(Photo(source, f"a training image of {label}, {text(entry.get('image')) or ''}", (label,)))
    return Gallery("Examples", "Training images of each value.", tuple(photos)) if photos else None


def _mistakes(records: Records) -> Gallery | None:
    counts = {key: number(value) for key, value in table(records.pictures.get("counts")).items()}
    wrong, images = counts.get("of"), counts.get("images")
    photos = [photo for entry in map(table, items(records.pictures.get("mistakes"))) if (photo := _photo(entry))]
    split = next((text(table(entry).get("split")) for entry in items(records.pictures.get("mistakes"))), None) or "test"
    if wrong == 0:
        return Gallery("The most confident mistakes", f"There is no mistake on {split}.", ())
    if not photos:
        return None
    total = (
        f" of all {count(wrong)} mistakes ({share(wrong / images)} of the {split} images)" if wrong and images else ""
    )
    note = f"{count(len(photos))}{total}, the surest first. Are they labelled right?"
    return Gallery("The most confident mistakes", note, tuple(photos))


def _maps(activation: dict[str, object]) -> Gallery | None:
    photos = []
    for entry in map(table, items(activation.get("pictures"))):
        pixels, values = _pixels(entry), _map(entry)
        if pixels is not None and values is not None and (photo := _photo(entry)):
            glowing = _encoded(overlaid(pixels, values))
            words = f"where the branch sees {entry.get('predicted')} in {entry.get('image')}"
            photos.append(photo._replace(beside=(glowing, words)))
    how = text(activation.get("how"))
    if not photos:
        return None
    note = f"{how or 'Class activation maps'}. Bright places speak for the value that was predicted; images of val."
    return Gallery("Where the branch looks", note, tuple(photos))


def _photo(record: dict[str, object]) -> Photo | None:
    source, label, predicted = _source(record), text(record.get("label")), text(record.get("predicted"))
    if source is None or label is None or predicted is None:
        return None
    sure = f" {score(number(record.get('score')), 3)}"
    right = label == predicted
    lines = (f"{predicted}{sure}", "right" if right else f"is {label}")
    words = (
        f"{record.get('image')}: predicted {predicted} with score{sure}, {'which is right' if right else f'is {label}'}"
    )
    return Photo(source, words, lines, right=right)


def _source(record: dict[str, object]) -> str | None:
    """The picture's data URL, and nothing else: a record must not make a page fetch."""
    source = text(record.get("picture"))
    return source if source and DATA_URL.fullmatch(source) else None


def _map(record: dict[str, object]) -> NDArray[np.float64] | None:
    rows = [numbers(row) for row in items(record.get("map"))]
    whole = bool(rows and rows[0]) and all(len(row) == len(rows[0]) for row in rows)
    return np.array(rows) if whole else None


def _pixels(record: dict[str, object]) -> NDArray[np.uint8] | None:
    """The picture, small ones enlarged so that a map on them can be smooth; None where it cannot be decoded."""
    source = _source(record)
    if source is None:
        return None
    try:
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")
    except (binascii.Error, UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
    scale = SIDE // max(image.size)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _encoded(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def overlaid(image: Pixels, values: NDArray[np.floating]) -> Pixels:
    """The image (H, W, 3) under its map (h, w): what speaks for the class glows, the rest is dimmed.

    Only what is positive is shown, by the map's own maximum; the map is enlarged smoothly to the image.
    """
    height, width = image.shape[:2]
    positive = np.clip(values, 0, None)
    small = Image.fromarray((positive / max(float(positive.max()), 1e-12)).astype(np.float32))
    heat = np.clip(np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)), 0, 1)[:, :, None]
    glow = matplotlib.colormaps[COLOURS](heat[:, :, 0])[:, :, :3] * 255
    opacity = STRENGTH * (0.35 + 0.65 * heat)
    blended: Pixels = np.clip(image * (1 - opacity) + glow * opacity, 0, 255).round().astype(np.uint8)
    return blended
