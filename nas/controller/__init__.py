"""The controller: an LSTM policy over a space's decisions, trained by REINFORCE."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.controller.policy import Controller

__all__ = ["Controller"]


def __getattr__(name: str) -> Any:
    """Import what is named when it is asked for: the recipes beside it need no torch."""
    if name in __all__:
        import nas.controller.policy

        return getattr(nas.controller.policy, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
