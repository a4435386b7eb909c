import hashlib
import json

import pytest

from search_spaces import Architecture, SpaceError

TOY = Architecture("toy", (("nodes", 2), ("widths", (16, 32))), (("width", 16), ("edge1-2", True), ("rate", 0.5)))


def test_json_text_round_trip_gives_an_equal_architecture_with_the_same_hash_and_types() -> None:
    again = Architecture.from_json(json.loads(json.dumps(TOY.to_json())))
    assert again == TOY
    assert hash(again) == hash(TOY)
    assert [type(value) for _, value in again.choices] == [type(value) for _, value in TOY.choices]


def test_the_order_of_the_parts_does_not_matter() -> None:
    shuffled = Architecture("toy", TOY.settings[::-1], (("rate", 0.5), ("width", 16), ("edge1-2", True)))
    assert shuffled == TOY
    assert shuffled.identity == TOY.identity


def test_identity_is_the_hash_of_the_canonical_json() -> None:
    text = '{"choices":{"edge1-2":true,"rate":0.5,"width":16},"settings":{"nodes":2,"widths":[16,32]},"space":"toy"}'
    assert TOY.identity == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_identity_tells_choices_and_settings_apart() -> None:
    others = [
        Architecture("toy", TOY.settings, (("width", 32), ("edge1-2", True), ("rate", 0.5))),
        Architecture("toy", (("nodes", 2), ("widths", (32, 16))), TOY.choices),
        Architecture("joy", TOY.settings, TOY.choices),
    ]
    assert len({TOY.identity, *(other.identity for other in others)}) == 4


def test_a_choice_is_found_by_name() -> None:
    assert TOY["width"] == 16
    with pytest.raises(KeyError):
        TOY["height"]


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(SpaceError, match="choices of an architecture name 'width' twice"):
        Architecture("toy", (), (("width", 16), ("width", 32)))


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ([], "list"),
        ({"settings": {}, "choices": {}}, "'space' must be a string"),
        ({"space": "toy", "choices": {}}, "'settings' must be an object"),
        ({"space": "toy", "settings": {}, "choices": [1]}, r"'choices' must be an object, got \[1\]"),
        ({"space": "toy", "settings": {}, "choices": {"width": None}}, "'width' must be a string, a number"),
        ({"space": "toy", "settings": {"widths": [[1]]}, "choices": {}}, "'widths' must be a string, a number"),
    ],
)
def test_a_broken_record_is_refused_by_name(record: dict[str, object], named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        Architecture.from_json(record)
