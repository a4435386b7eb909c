"""Skips what needs the extra `nni`; where `make test` runs, the extra is part of `dev`, so that nothing is skipped."""

from importlib.util import find_spec

import pytest

needs_nni = pytest.mark.skipif(
    find_spec("pytorch_lightning") is None, reason="needs pytorch-lightning: pip install 'graftnet[nni]'"
)


def with_nni_marked(strategies: object) -> list[object]:
    """Strategy names as parameters; NNI's are skipped where they cannot run."""
    assert isinstance(strategies, tuple)
    return [pytest.param(name, marks=needs_nni) if name.startswith("nni-") else name for name in strategies]
