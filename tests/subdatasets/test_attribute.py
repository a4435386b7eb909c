import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subdatasets.attribute import (
    Attribute,
    attribute_name,
    attribute_of,
    contradiction,
    is_attribute_name,
    is_unknown,
    ordered_values,
    spellings,
)
from subdatasets.errors import DataError


@pytest.mark.parametrize(
    ("name", "found", "ordered"),
    [
        ("bald", ["yes", "no"], ("no", "yes")),
        ("bald", ["1", "0"], ("0", "1")),
        ("bald", ["1", "-1"], ("-1", "1")),
        ("bald", ["True", "False"], ("False", "True")),
        ("bald", ["present", "absent"], ("absent", "present")),
        ("bald", ["positive", "negative"], ("negative", "positive")),
        ("x", ["bald", "not_bald"], ("not_bald", "bald")),
        ("x", ["with hat", "without hat"], ("without hat", "with hat")),
        ("x", ["no beard", "beard"], ("no beard", "beard")),
        ("hot_dog", ["hot dog", "other"], ("other", "hot dog")),
        ("hot_dog", ["zebra", "hot dog"], ("zebra", "hot dog")),
        ("gender", ["male", "female"], ("female", "male")),
        ("age", ["10", "9", "100"], ("9", "10", "100")),
        ("yes", ["yes", "no"], ("no", "yes")),
        ("no", ["yes", "no"], ("no", "yes")),
    ],
)
def test_values_go_negative_first_whatever_order_they_are_found_in(
    name: str, found: list[str], ordered: tuple[str, ...]
) -> None:
    assert ordered_values(found, name) == ordered
    assert attribute_of(name, reversed(found)).values == ordered


@given(st.permutations(["no", "yes", "No hat", "hat", "0", "1", "-1", "name"]), st.integers(1, 8))
def test_the_order_of_finding_never_matters(found: list[str], size: int) -> None:
    assert ordered_values(found[:size], "name") == ordered_values(sorted(found[:size]), "name")


@pytest.mark.parametrize(
    ("found", "canonical"),
    [
        (["1.0", "0.0"], {"1.0": "1", "0.0": "0"}),
        (["1.0", "1", "0"], {"1.0": "1", "1": "1", "0": "0"}),
        (["TRUE", "False", "true "], {"TRUE": "true", "False": "false", "true ": "true"}),
        (["Yes", "no"], {"Yes": "yes", "no": "no"}),
        (["Male", "Female"], {"Male": "Male", "Female": "Female"}),
        (["1.0", "1.5"], {"1.0": "1.0", "1.5": "1.5"}),
        (["007", "008"], {"007": "007", "008": "008"}),
    ],
)
def test_spellings_of_one_value_are_joined(found: list[str], canonical: dict[str, str]) -> None:
    assert spellings(found) == canonical


def test_contradicting_values_are_told() -> None:
    assert "'Hat' and 'hat'" in str(contradiction(["Hat", "hat"]))
    assert "'-1', '0', '1'" in str(contradiction(["0", "1", "-1"]))
    assert "mix" in str(contradiction(["no", "yes", "1"]))
    assert contradiction(["no", "yes", "maybe"]) is None
    assert contradiction(["0", "1", "2"]) is None


def test_what_counts_as_unknown() -> None:
    assert all(map(is_unknown, ["", "  ", "NaN", "N/A", "?", "null", "<NA>"]))
    assert not any(map(is_unknown, ["none", "unknown", "0", "no"]))
    assert is_unknown("-1", ["-1"])


@pytest.mark.parametrize("name", ["", "light bag", "bag/left", ".hidden", "-x", "häß", "a" * 101, "a\n"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="not usable as a file name"):
        Attribute(name, ("no", "yes"))


@pytest.mark.parametrize("values", [(), ("yes",), ("yes", "yes"), ("", "yes"), (" no", "yes"), ("a\nb", "c")])
def test_unusable_values_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="bald"):
        Attribute("bald", values)


def test_an_attribute_is_a_value() -> None:
    one = Attribute("bald", ("no", "yes"))
    assert one == attribute_of("bald", ["yes", "no"])
    assert hash(one) == hash(attribute_of("bald", ["yes", "no"]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "other"  # type: ignore[misc]


@given(st.text(max_size=150))
def test_every_name_made_from_text_is_usable_or_empty(title: str) -> None:
    name = attribute_name(title)
    assert name == "" or is_attribute_name(name)
    assert attribute_name(name) == name


def test_names_made_from_text() -> None:
    assert attribute_name(" Light  bag (left) ") == "Light_bag_left"
    assert attribute_name("Téléphone") == "Telephone"
    assert attribute_name("t-shirt") == "t-shirt"
    assert attribute_name("秃头") == ""
