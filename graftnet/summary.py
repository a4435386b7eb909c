"""Several searches side by side, a line per attribute."""

from collections.abc import Mapping, Sequence
from typing import Any

from graftnet.answer import text_table

COLUMNS = ("attribute", "parameters", "reduction", "test AUROC", "random", "linear probe", "tail")


def summary_lines(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """result.json of each attribute -> a table: what the branch costs, and its test AUROC beside the controls'."""
    rows = [COLUMNS, *(summary_row(result) for result in results)]
    lines = text_table(rows)
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def summary_row(result: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table; a dash stands for what was not measured."""
    controls = result.get("controls") or {}
    reduction = result.get("parameter_reduction")
    return (
        str(result["attribute"]),
        f"{result['parameters']:,}",
        "-" if reduction is None else f"{reduction:.1%}",
        auroc(result),
        *(auroc(controls.get(name)) for name in ("random", "linear_probe", "tail")),
    )


def auroc(measured: Mapping[str, Any] | None) -> str:
    """The test AUROC of a result or a control."""
    value = ((measured or {}).get("test") or {}).get("auroc")
    return "-" if value is None else f"{value:.4f}"
