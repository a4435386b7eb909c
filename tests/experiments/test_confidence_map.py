import numpy as np
import pytest
from matplotlib.axes import Axes

from experiments.confidence_map import confidence_csv, confidence_figure, confidence_map

SCORES = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.6]])
LABELS = np.array([[1, 0], [1, 0], [0, 1]])


def test_rows_are_the_images_of_a_class_and_columns_what_the_network_says() -> None:
    np.testing.assert_allclose(confidence_map(SCORES, LABELS), [[0.8, 0.2], [0.2, 0.6]])


def test_a_class_without_images_has_no_figures() -> None:
    found = confidence_map(SCORES[:2], LABELS[:2])
    np.testing.assert_allclose(found[0], [0.8, 0.2])
    assert np.isnan(found[1]).all()


def test_the_csv_names_both_sides() -> None:
    assert confidence_csv(np.array([[0.8, 0.2], [0.25, 0.6]]), ["cat", "a, b"]) == (
        'images of,cat,"a, b"\ncat,0.8000,0.2000\n"a, b",0.2500,0.6000\n'
    )


def test_maps_stand_beside_each_other_on_one_scale() -> None:
    first, second = np.array([[0.8, 0.2], [0.2, 0.6]]), np.array([[0.1, 0.2], [0.2, 0.1]])
    figure = confidence_figure([[("N = 2", first), ("N = 3", second)], [("N = 2", second)]], ["cat", "dog"])
    plots = [axes for axes in figure.axes if isinstance(axes, Axes) and axes.images]
    assert [axes.get_title() for axes in plots] == ["N = 2", "N = 3", "N = 2"]
    np.testing.assert_array_equal(np.asarray(plots[1].images[0].get_array()), second)
    assert {axes.images[0].get_clim() for axes in plots} == {(0, 1)}
    assert [label.get_text() for label in plots[0].get_yticklabels()] == ["cat", "dog"]


def test_a_map_with_the_wrong_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        confidence_csv(np.ones((2, 2)), ["cat"])
