"""Pictures as people have them: ten kinds of odd ones, and a photograph turned all eight ways, as files."""

from pathlib import Path

import numpy as np
from PIL import Image


def smooth(width: int, height: int, seed: int) -> Image.Image:
    """A seeded RGB picture without hard edges, of which JPEG loses little."""
    coarse = np.random.default_rng(seed).integers(256, size=(6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def odd_images(folder: Path) -> list[Path]:
    """Written into `folder`, each a file of its own kind."""
    folder.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(5).integers(65536, size=(50, 70), dtype=np.uint16)
    frames = [smooth(60, 40, seed) for seed in (6, 7)]
    smooth(1, 90, 0).save(folder / "one_wide.png")
    smooth(70, 1, 1).save(folder / "one_high.jpg")
    smooth(3000, 20, 2).save(folder / "banner.jpg", quality=95)
    smooth(301, 407, 3).convert("CMYK").save(folder / "cmyk.jpg")
    smooth(333, 222, 4).save(folder / "progressive.jpg", progressive=True)
    smooth(120, 80, 5).quantize(32).save(folder / "palette.png")
    smooth(150, 260, 6).convert("L").save(folder / "grey.jpg")
    Image.fromarray(grey).save(folder / "deep.png")
    smooth(2, 2, 8).save(folder / "tiny.png")
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        smooth(410, 203, 10 + orientation).save(folder / f"turned{orientation}.jpg", exif=exif)
    return sorted(folder.iterdir())
