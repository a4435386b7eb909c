"""How long the page over all attributes takes, and its files: from fleet.json and the searches' results to the disk.

    python -m benchmarks.fleet_page [--attributes 40] [--rounds 3]

Prints one JSON line. The searches are made up (`tests/reports/fleet_folder.py`). `page_seconds` and
`comparison_seconds` are the best of the rounds, in a process that has imported; `kilobytes` is the page's size.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reports import write_comparison, write_fleet_report
from tests.reports.fleet_folder import write_fleet


def best_of(rounds: int, work: Callable[[], Path]) -> tuple[float, Path]:
    """The shortest time, in seconds, and what was written."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        page = work()
        times.append(time.perf_counter() - started)
    return round(min(times), 3), page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attributes", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        runs = Path(place) / "runs"
        record = write_fleet(runs, tuple(f"attribute {number}" for number in range(given.attributes)))
        seconds, page = best_of(given.rounds, lambda: write_fleet_report(record))
        pair = [runs / "searches" / f"attribute {number}" / f"id{number}" for number in (0, 1)]
        compared, _ = best_of(given.rounds, lambda: write_comparison(pair[0], pair[1], runs / "compare.html"))
        found = {"page_seconds": seconds, "kilobytes": page.stat().st_size / 1e3, "comparison_seconds": compared}
    print(json.dumps({**vars(given), **found}))


if __name__ == "__main__":
    main()
