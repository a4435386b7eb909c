"""A labelling on made-up averages: small pictures, of which one in five is bright and is the one that is sought.

    python -m tests.graftnet.data.labelling.made FOLDER

serves its page, for tests that kill the process.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from foundation.locks import only_one
from graftnet.data.labelling.growing import Growing
from graftnet.data.labelling.journal import Journal
from graftnet.data.labelling.pool import Pool, hashed
from graftnet.data.labelling.session import Labelling
from graftnet.data.labelling.table import AnswerTable
from subdatasets.attribute import Attribute

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    '"><script>document.title="taken"<\\script>.png',
    "' onload='alert(1)'.png",
    "a\nb.png",
    "=cmd()|' .png",
    "%2e%2e%2fsecret?x#y.png",
)


def paint(folder: Path, count: int, *, hostile: bool = False) -> list[Path]:
    """Pictures with a content each; every fifth is bright."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 60, (6, 6, 3)) + 150 * (number % 5 == 0)
        name = HOSTILE[number] if hostile and number < len(HOSTILE) else f"{number:03}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        paths.append(folder / name)
    return paths


def pool_of(paths: list[Path]) -> Pool:
    """The pictures' pixels in the place of a trunk's averages, with noise: a probe has something to learn."""
    hashes = hashed(paths)
    of = {content: path for path, content in reversed(hashes.items())}
    noise = np.random.default_rng(0).normal(0, 40, (len(of), 108))
    rows = np.stack([np.asarray(Image.open(path), dtype=np.float32).reshape(-1) for path in of.values()]) + noise
    return Pool(tuple(of), of, rows.astype(np.float32))


def labelling(
    folder: Path, pool: Pool, *, values: tuple[str, ...] = ("no", "yes"), page: int = 12, share: float = 0.3
) -> Labelling:
    """A labelling whose files lie in the folder; called again it goes on."""
    table = AnswerTable(
        folder / "data" / "bright.csv",
        Attribute("bright", values),
        Journal(folder / "data" / "bright.answers.jsonl"),
        pool.paths,
        {path: content for content, path in pool.paths.items()},
        seed=0,
    )
    return Labelling(pool, table, Growing(pool, table, seed=0, share=share), page=page, who="somebody")


def truth(work: Labelling, content: str) -> str:
    """The right answer on a picture."""
    return "yes" if np.asarray(Image.open(work.pool.paths[content])).mean() > 100 else "no"


def answer_page(work: Labelling, window: str = "a", count: int | None = None) -> list[str]:
    """Answer a window's page, or some of it, rightly; the pictures."""
    asked = [picture["id"] for picture in work.page(window)["pictures"]][:count]
    for content in asked:
        work.answer(window, content, truth(work, content))
    return asked


if __name__ == "__main__":
    from graftnet.data.labelling.server import listen

    home = Path(sys.argv[1])
    with only_one(home / "labelling"):
        ready = listen(labelling(home, pool_of(sorted((home / "pool").iterdir())), page=24), "token-of-the-test")
        sys.stdout.write(f"{ready.url}\n")
        sys.stdout.flush()
        ready.run()
