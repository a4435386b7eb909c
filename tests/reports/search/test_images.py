"""Pictures of the records on a page: nothing fetched, nothing damaged shown, maps that lie where they belong."""

import copy
from typing import Any

import numpy as np
import pytest

from reports.search.images import example_gallery, images_section, overlaid
from reports.summaries.search import Records, read_records
from tests.reports.search_folder import write_search


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return read_records(write_search(tmp_path_factory.mktemp("search") / "s", epochs=1, proposals=8))


def changed(records: Records, **fields: Any) -> Records:
    return records._replace(pictures={**copy.deepcopy(records.pictures), **fields})


def test_mistakes_maps_and_examples_are_shown(records: Records) -> None:
    mistakes, maps = images_section(records).galleries
    assert [photo.lines for photo in mistakes.photos] == [("yes 0.970", "is no"), ("no 0.970", "is yes")]
    assert "2 of all 40 mistakes (3.25\N{NO-BREAK SPACE}% of the test images)" in mistakes.note
    assert [photo.right for photo in maps.photos] == [True, True]
    assert all(photo.beside and photo.beside[0].startswith("data:image/jpeg;base64,") for photo in maps.photos)
    examples = example_gallery(records)
    assert examples is not None
    assert [photo.lines for photo in examples.photos] == [("no",), ("no",), ("yes",), ("yes",)]


@pytest.mark.parametrize(
    "source",
    [
        "https://example.org/tracker.png",
        "data:image/svg+xml;base64,PHN2Zy8+",
        'data:image/png;base64,AA" onerror="alert(1)',
        "data:image/png;base64,AA\n==",
        "",
        None,
        7,
    ],
)
def test_only_small_pictures_in_the_record_itself_are_shown(records: Records, source: object) -> None:
    one = {**records.pictures["mistakes"][0], "picture": source}  # type: ignore[index]
    assert images_section(changed(records, mistakes=[one], activation={})).galleries == ()
    assert example_gallery(changed(records, examples=[one])) is None


def test_what_cannot_be_shown_is_left_out(records: Records) -> None:
    whole = records.pictures["activation"]["pictures"][0]  # type: ignore[index]
    cut = {**whole, "picture": whole["picture"][:60]}
    for damaged in (cut, {**whole, "map": [[1, 2], [3]]}, {**whole, "map": None}, {**whole, "predicted": None}, None):
        activation = {"how": "CAM", "pictures": [damaged, whole]}
        (maps,) = images_section(changed(records, mistakes=[], activation=activation)).galleries
        assert len(maps.photos) == 1
    section = images_section(changed(records, mistakes=[], activation={"missing": "one position", "pictures": []}))
    assert section.missing == ("one position",)


def test_a_search_without_mistakes_says_so(records: Records) -> None:
    counts = {"shown": 0, "of": 0, "images": 30}
    gallery = images_section(changed(records, mistakes=[], counts=counts)).galleries[0]
    assert gallery.note == "There is no mistake on test."


def test_a_map_glows_where_it_is_high_and_hides_nothing_it_does_not_know() -> None:
    image = np.full((40, 60, 3), 128, dtype=np.uint8)
    values = np.zeros((2, 3))
    values[0, 2] = 5.0  # the upper right corner
    values[1, 0] = -9.0  # speaks against: not shown
    shown = overlaid(image, values).astype(float).mean(2)
    assert shown.shape == (40, 60)
    assert shown[:20, 40:].mean() > shown[:20, :20].mean() + 20
    assert abs(shown[20:, :20].mean() - shown[:20, :20].mean()) < 3
    assert np.array_equal(overlaid(image, values * 7), overlaid(image, values))
    assert np.ptp(overlaid(image, -np.ones((2, 2))), axis=(0, 1)).max() == 0
