"""Choose an action by rules on the attributes of a picture."""

from deployment.rules.rules import Rules

__all__ = ["Rules"]
