"""What the front door takes for a user's mistake, whichever room found it."""

import importlib

import pytest

from deployment.errors import BundleError
from foundation.errors import UserError

ROOMS = ("subdatasets", "trunk", "search_spaces", "branches", "label_graph", "nas", "reports", "graftnet")


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_errors_are_a_users_mistakes_and_values_that_cannot_be(room: str) -> None:
    module = importlib.import_module(f"{room}.errors")
    kinds = [kind for name, kind in vars(module).items() if name.endswith("Error") and kind is not UserError]
    assert kinds
    assert all(issubclass(kind, UserError) and issubclass(kind, ValueError) for kind in kinds)


def test_a_bundles_error_travels_without_the_toolkit() -> None:
    assert not issubclass(BundleError, UserError)
