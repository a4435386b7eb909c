"""Give the records of searches as pandas DataFrames; a report's CSV files are written from the same."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import read_json
from foundation.history import read_history
from reports.summaries.candidates import Candidate
from reports.summaries.candidates import candidates as candidates_of
from reports.summaries.comparison import methods as methods_of
from reports.summaries.predictions import SCORE
from reports.summaries.search import Records, read_records

if TYPE_CHECKING:
    from pandas import DataFrame

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one
METHOD_FIELDS = ("key", "name", "parameters", "macs", "latency_ms", "reduction", "val_score", "test_score")
RESULT_FIELDS = (
    *("attribute", "space", "strategy", "seed", "freeze_depth", "fingerprint", "identity", "parameters", "macs"),
    *("latency_ms", "tail_parameters", "tail_macs", "parameter_reduction", "reward", "val", "test", "gain", "verdict"),
    *("created",),
)


def history(search_folder: Path) -> "DataFrame":
    """The search's `history.jsonl`, a row per record; nested values stand in columns such as `val.auroc`.

    Raises UserError for a damaged line, OSError where there is no history.
    """
    from pandas import json_normalize

    return json_normalize(read_history(Path(search_folder) / "history.jsonl"))


def candidates(search_folder: Path) -> "DataFrame":
    """Every architecture that the search proposed: where it comes from, its size, its scores, whether it won.

    Raises ReportError where there is no such folder.
    """
    return candidates_table(read_records(Path(search_folder)))


def methods(search_folder: Path) -> "DataFrame":
    """The winner and its controls with sizes, latency and mean scores. Raises ReportError as :func:`candidates`."""
    return methods_table(read_records(Path(search_folder)))


def predictions(search_folder: Path) -> "DataFrame":
    """The winner's scores, a row per val and test image, as the search wrote them.

    Raises OSError where there are none.
    """
    from pandas import read_csv

    # As words first: a value may be called NA, and pandas' own reading of numbers may lose the last digit.
    frame = read_csv(Path(search_folder) / "predictions.csv", dtype=str, keep_default_na=False)
    return frame.astype({name: float for name in frame.columns if name.startswith(SCORE)})


def results(search_folders: Iterable[Path]) -> "DataFrame":
    """A row per finished search: architecture, costs, figures on val and test, gains over the controls, verdict.

    Raises OSError or ValueError for a `result.json` that cannot be read.
    """
    from pandas import DataFrame, json_normalize

    rows = []
    for folder in map(Path, search_folders):
        record = read_json(folder / "result.json")
        rows.append({**{name: record.get(name) for name in RESULT_FIELDS}, "folder": str(folder)})
    return json_normalize(rows) if rows else DataFrame(columns=[*RESULT_FIELDS, "folder"])


def candidates_table(records: Records) -> "DataFrame":
    """:func:`candidates` of records that are read already."""
    return _framed(Candidate._fields, candidates_of(records))


def methods_table(records: Records) -> "DataFrame":
    """:func:`methods` of records that are read already."""
    return _framed(METHOD_FIELDS, [[getattr(one, field) for field in METHOD_FIELDS] for one in methods_of(records)])


def csv_of(frame: "DataFrame") -> str:
    """A DataFrame as RFC 4180 has it, but for line ends; what is not known is empty.

    It is opened with a spreadsheet, where a name or a value that begins as a formula would be one: see `no_formula`.
    """
    from pandas import Series
    from pandas.api.types import is_numeric_dtype

    plain = frame.rename(columns=no_formula)
    for number, (_, column) in enumerate(frame.items()):
        if not is_numeric_dtype(column):  # as objects, or whole numbers beside gaps would become 12.0
            plain.isetitem(number, Series([no_formula(cell) for cell in column], column.index, dtype=object))
    text: str = plain.to_csv(index=False, lineterminator="\n")
    return text


def no_formula(cell: Any) -> Any:
    """A cell that no spreadsheet computes: a text that begins as a formula gets an apostrophe before it.

    >>> [no_formula(cell) for cell in ("=1+1", "@SUM(A1)", "+x", "-0.5", "-", "hat", -2)]
    ["'=1+1", "'@SUM(A1)", "'+x", '-0.5', '-', 'hat', -2]
    """
    if not isinstance(cell, str) or not cell.startswith(FORMULA) or cell in FORMULA:
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Rows, the head first, as :func:`csv_of` writes them."""
    return csv_of(_framed(rows[0], rows[1:], typed=False))


def _framed(head: Sequence[object], rows: Sequence[Sequence[Any]], *, typed: bool = True) -> "DataFrame":
    """Rows as they are, or with a type per column."""
    from pandas import DataFrame

    # As objects first: pandas would make 12 of a column of numbers and gaps into 12.0.
    frame = DataFrame(list(rows), columns=list(head), dtype=object)
    return frame.infer_objects() if typed else frame
