"""Limits, front and latency on the page, and nothing of them where the search recorded none."""

import json
from pathlib import Path
from typing import Any

import pytest

from reports.layout.formats import milliseconds
from reports.search.candidates import front_table, limits_sentence
from reports.search.page import render
from reports.summaries.candidates import candidates, front, latency_sentence
from reports.summaries.comparison import methods
from reports.summaries.search import Records, read_records
from tests.reports.search_folder import write_search


def records_of(**result: Any) -> Records:
    return Records(Path("bald") / "s1", {}, result, {}, (), ())


def entry(index: int, **fields: Any) -> dict[str, Any]:
    return {"identity": f"a{index}", "score": 0.9, "parameters": 100 + index, "macs": 2e6, "latency_ms": 0.5} | fields


def test_limits_in_a_sentence() -> None:
    found = limits_sentence(records_of(limits={"parameters": 50000, "macs": 5e6, "latency_ms": 0.5}))
    assert found.endswith("at most 50,000 parameters and 5,000,000 MACs and 0.5 ms.")
    nothing: tuple[Any, ...] = ({}, None, [], {"parameters": "many"})
    for limits in nothing:
        assert limits_sentence(records_of(limits=limits)) == ""


def test_latency_in_a_sentence() -> None:
    latency = {"device": "cpu", "batch": 1, "threads": 2, "runs": 30}
    assert "one image on cpu, 2 threads; the median of 30." in latency_sentence(records_of(latency=latency))
    fast = latency | {"device": "H100", "batch": 8}
    assert "8 images on H100; the median" in latency_sentence(records_of(latency=fast))
    assert latency_sentence(records_of()) == ""
    measured = latency | {"min_ms": 2.0, "median_ms": 2.2}
    assert "the fastest of 30 rounds in turn (the median round took 10.0" in latency_sentence(
        records_of(latency=measured)
    )


def test_a_busy_machine_is_named_whichever_side_was_held_up() -> None:
    latency = {"device": "cpu", "batch": 1, "threads": 2, "runs": 30, "min_ms": 2.0, "median_ms": 2.2}
    quiet = {"latency_spread": 0.1, "tail_latency_spread": 0.2, "controls": {"random": {"latency_spread": 0.3}}}
    assert "Busy" not in latency_sentence(records_of(latency=latency, **quiet))
    for held_up in (
        {"latency_spread": 1.35},
        {"tail_latency_spread": 1.35},
        {"controls": {"a": {"latency_spread": 1.35}}},
    ):
        sentence = latency_sentence(records_of(latency=latency, **{**quiet, **held_up}))
        assert "Busy machine: in a comparison of latencies the median round took up to 135" in sentence


def test_a_long_front_is_thinned_and_keeps_its_ends() -> None:
    records = records_of(front=[entry(n) for n in range(40)], identity="a39")
    found = front_table(records)
    assert found is not None
    assert len(found.rows) == 12
    assert (found.rows[0][0], found.rows[-1][0], found.marked) == ("a0", "a39", 11)
    assert found.caption.startswith("12 of the 40 candidates")
    short = front_table(records_of(front=[entry(0, latency_ms=None), entry(1)]))
    assert short is not None
    assert [row[0] for row in short.rows] == ["a0", "a1"]
    assert short.rows[0][3] == "–"
    assert front_table(records_of(front="none")) is None
    assert front(records_of(front=[{}, 3, {"score": 1.0}])) == ()


def test_the_page_shows_them_and_does_without_them(tmp_path: Path) -> None:
    folder = write_search(tmp_path)
    old = read_records(folder)
    assert not any(one.on_front for one in candidates(old))
    page = render(old)
    for word in ("Pareto", "latency", "limits of this search"):
        assert word not in page
    result = json.loads((folder / "result.json").read_text())
    proposed = candidates(old)
    result["front"] = [entry(n, identity=one.identity) for n, one in enumerate(proposed[:3])]
    result |= {"limits": {"parameters": 50000}, "latency_ms": 0.3141, "tail_latency_ms": 3.0}
    result["latency"] = {"device": "cpu", "batch": 1, "threads": 1, "runs": 30}
    result["controls"]["tail"]["latency_ms"] = 12.34
    (folder / "result.json").write_text(json.dumps(result))
    records = read_records(folder)
    chosen = {one.identity for one in proposed[:3]}
    assert {one.identity for one in candidates(records) if one.on_front} == chosen
    assert {method.key: method.latency_ms for method in methods(records)} == {
        "winner": 0.3141,
        "random": None,
        "linear_probe": None,
        "tail": 12.34,
    }
    page = render(records)
    for words in ("Ringed: the Pareto front", "at most 50,000 parameters", "0.314\N{NO-BREAK SPACE}ms", "12.3"):
        assert words in page


@pytest.mark.parametrize(
    ("value", "expected"), [(0.03141, "0.031"), (0.9999, "1.00"), (9.999, "10.0"), (123.4, "123"), (3.14159, "3.14")]
)
def test_milliseconds_have_three_digits(value: float, expected: str) -> None:
    assert milliseconds(value) == f"{expected}\N{NO-BREAK SPACE}ms"
