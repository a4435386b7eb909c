"""How long a report takes: a search of 200 epochs with 2,000 candidates, from its folder to a file that is written.

    python -m benchmarks.report [--epochs 200] [--candidates 2000] [--images 10000] [--rounds 5]

Prints one JSON line. The folder is made up (`tests/reports/search_folder.py`) and holds every record that a page is
drawn from. `seconds` is the best of the rounds and `cpu_seconds` that round's of the processor, both in a process that
has already imported; `fresh_seconds` is a process of its own, imports included, as `graftnet report` begins. Wanted:
fresh under 5 seconds, `megabytes` under 5.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reports import write_report
from search_spaces import Space, macro_space, micro_space
from tests.reports.search_folder import write_search

SPACES = {"macro": macro_space(6), "micro": micro_space(5, cells=3)}
UPDATES = 20  # of the controller in an epoch
FRESH = "import sys; from pathlib import Path; from reports import write_report; write_report(Path(sys.argv[1]))"


def measured(folder: Path, rounds: int) -> dict[str, float]:
    """The figures of one search's page."""
    times = []
    for _ in range(rounds):
        started, used = time.perf_counter(), time.process_time()
        page = write_report(folder)
        times.append((time.perf_counter() - started, time.process_time() - used))
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", FRESH, str(folder)], check=True)
    fresh = time.perf_counter() - started
    seconds, cpu_seconds = min(times)
    figures = {"seconds": seconds, "cpu_seconds": cpu_seconds, "fresh_seconds": fresh}
    return {**{name: round(one, 3) for name, one in figures.items()}, "megabytes": page.stat().st_size / 1e6}


def made_up(folder: Path, space: Space, epochs: int, candidates: int, images: int) -> Path:
    """The records of a search of this size."""
    splits = {"train": images * 5, "val": images, "test": images}
    return write_search(
        folder, epochs=epochs, updates=UPDATES, proposals=candidates, retrained=20, space=space, splits=splits
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--images", type=int, default=10_000, help="in val, and as many in test")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, object] = dict(vars(given))
    for name, space in SPACES.items():
        with tempfile.TemporaryDirectory() as place:
            folder = made_up(Path(place) / "search", space, given.epochs, given.candidates, given.images)
            found[name] = measured(folder, given.rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
