"""Pages of searches are drawn where their records are others than those that they were drawn from, and only there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import reports
from graftnet.pages import fresh
from graftnet.pages.fresh import STAMP, write_if_changed
from reports.summaries import search as reading
from tests.reports.search_folder import write_search

Drawn = list[str]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The searches whose page was drawn; a made-up line stands for the page."""
    names: Drawn = []

    def page(folder: Path) -> Path:
        names.append(folder.name)
        (folder / "report.html").write_text(f"page {len(names)}")
        return folder / "report.html"

    def card(folder: Path) -> Path:
        (folder / "card.md").write_text("card")
        return folder / "card.md"

    monkeypatch.setattr(reports, "write_report", page)
    monkeypatch.setattr(reports, "write_card", card)
    return names


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search with every record there is, in a project's runs with a probe."""
    runs = tmp_path_factory.mktemp("fresh") / "runs"
    folder = write_search(runs / "searches" / "bald" / "s1", epochs=1, updates=1, proposals=4, retrained=1)
    (folder / "audit.json").write_text("{}")
    probe = runs / "probes" / "0123456789ab" / "bald.json"
    probe.parent.mkdir(parents=True)
    probe.write_text("{}")
    return folder


def test_a_page_is_drawn_once(drawn: Drawn, whole: Path) -> None:
    assert write_if_changed(whole) == whole / "report.html"
    assert write_if_changed(whole) == whole / "report.html"
    assert drawn == ["s1"]


def older(path: Path) -> None:
    """The same bytes, copied back from elsewhere: older than the page."""
    os.utime(path, (1, 1))


@pytest.mark.parametrize("change", [older, lambda path: path.unlink()], ids=["older", "gone"])
def test_whatever_is_read_or_written_is_watched(drawn: Drawn, whole: Path, change: Callable[[Path], None]) -> None:
    for path in [*reading.files_read(whole), whole / "report.html", whole / "card.md", whole / STAMP]:
        write_if_changed(whole)
        before, kept = len(drawn), path.read_bytes()
        if path.name == STAMP and change is older:
            path.write_text("{")
        else:
            change(path)
        write_if_changed(whole)
        assert len(drawn) == before + 1, path
        path.write_bytes(kept)


def test_another_release_draws_anew(drawn: Drawn, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_if_changed(whole)
    before = len(drawn)
    monkeypatch.setattr(fresh, "drawn_by", lambda: "another")
    write_if_changed(whole)
    assert len(drawn) == before + 1


def test_a_record_that_arrives_meanwhile_makes_the_page_old(
    drawn: Drawn, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole / STAMP).unlink(missing_ok=True)
    page = reports.write_report

    def meanwhile(folder: Path) -> Path:
        written = page(folder)
        with (folder / "history.jsonl").open("a") as file:
            file.write("{}\n")
        return written

    monkeypatch.setattr(reports, "write_report", meanwhile)
    write_if_changed(whole)
    monkeypatch.setattr(reports, "write_report", page)
    write_if_changed(whole)
    assert len(drawn) == 2


def test_all_files_that_a_page_is_made_from_are_known(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reader opens is in the list: a record that is added to pages and forgotten there is found here."""
    opened: set[Path] = set()
    real = Path.open

    def note(self: Path, *args: object, **kwargs: object) -> object:
        opened.add(self.resolve())
        return real(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", note)

    def history(path: Path) -> list[object]:
        opened.add(path.resolve())
        return []

    monkeypatch.setattr(reading, "read_history", history)
    reading.read_records(whole)
    assert {path for path in opened if path.is_relative_to(whole.parents[2])} >= {
        whole / "predictions.csv",
        whole / "result.json",
    }
    assert opened <= {path.resolve() for path in reading.files_read(whole)}
