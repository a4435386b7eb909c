"""Grey pictures of more than 8 bits: how bright they get, for 10 bits in a file of 16 are nearly black when read.

`read_image` takes 65535 for white in files of 16 bits, and in files of 32 bits too where one value is above 255.
Cameras write 10 or 12 bits into them; 3 or 15 of 255 levels are left then. An import says so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foundation.history import Progress
from subdatasets.files.remote import url_of
from subdatasets.image_files import THREADS, opened, over_files

_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_LOOKED_AT = 200  # pictures, spread over the list, whose pixels are read
_FULL = 32768  # from here on a picture uses its 16 bits


def depth_note(
    paths: Sequence[Path], *, set_white: int = 0, threads: int = THREADS, progress: Progress | None = None
) -> tuple[str, dict[str, Any]] | None:
    """A sentence about pictures that will be nearly black, and how many and how bright; None where there are none.

    Args:
        paths: the pictures.
        set_white: what `data.white` says; 0: nothing.
        threads: how many are read at a time.
        progress: hears the stage "images".
    """
    # An object of a store is not fetched for this alone.
    paths = [path for path in paths if url_of(str(path)) is None]
    deep = [path for path, mode in zip(paths, over_files(_mode, paths, threads=threads), strict=True) if mode in _DEEP]
    if not deep:
        return None
    looked = deep[:: max(1, len(deep) // _LOOKED_AT)]
    ends = [each for each in over_files(_ends, looked, threads=threads, progress=progress) if each is not None]
    brightest = [most for _, most in ends]
    top = max(brightest, default=0)
    if (least := min((least for least, _ in ends), default=0)) < 0:
        note = (
            f"{len(deep):,} of {len(paths):,} pictures are grey of 16 or 32 bits, and some hold values below 0 (down "
            f"to {least:,}), which are read as black; save them with values from 0 on, before a trunk sees them"
        )
        # Whatever white is set to, what lies below 0 is lost: the check goes on to say so.
        return note, {"images": len(deep), "brightest": 2**31, "white": 2 ** top.bit_length() - 1}
    mixed = any(each <= 255 for each in brightest) and top > 255
    if not brightest or top <= set_white or (not set_white and ((top >= _FULL and not mixed) or top <= 255)):
        return None
    bits = top.bit_length()
    levels = top // 257 + 1
    white = 2**bits - 1
    what = f"{len(deep):,} of {len(paths):,} pictures are grey of 16 or 32 bits, and "
    if set_white:
        how = f"the brightest pixel is {top:,}, more than data.white"
    elif top >= _FULL:
        how = "some of them hold 8 bits and some more, which are scaled differently"
    else:
        how = f"the brightest pixel is {top:,}: read as 16 bits they are nearly black ({levels} of 256 levels)"
    remedy = f"set white = {white} below [data] in graftnet.toml, or save them with 8 bits"
    return f"{what}{how}; {remedy}, before a trunk sees them", {"images": len(deep), "brightest": top, "white": white}


def _mode(path: Path) -> str:
    try:
        with opened(path) as image:
            return image.mode
    except Exception:  # Pillow's decoders answer what is no image with nearly every exception there is
        return ""


def _ends(path: Path) -> tuple[int, int] | None:
    """The darkest pixel, 0 at most, and the brightest one."""
    try:
        with opened(path) as image:
            pixels = np.asarray(image)
            return int(pixels.min(initial=0)), int(pixels.max(initial=0))
    except Exception:  # as above
        return None
