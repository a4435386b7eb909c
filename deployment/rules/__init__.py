"""Choose an action by rules on the attributes of a picture; hold its answers against relations between attributes."""

from deployment.rules.relations import Relations
from deployment.rules.rules import Rules

__all__ = ["Relations", "Rules"]
