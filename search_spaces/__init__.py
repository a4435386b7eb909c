"""What may be built: search spaces, decisions and architectures. Knows no torch."""

from search_spaces.architecture import Architecture, Choice, Setting
from search_spaces.decisions import Decision, Space
from search_spaces.errors import SpaceError
from search_spaces.macro import MacroPlan, NodePlan, macro_space, plan
from search_spaces.registry import SPACES, space_from_json, space_of

__all__ = [
    "SPACES",
    "Architecture",
    "Choice",
    "Decision",
    "MacroPlan",
    "NodePlan",
    "Setting",
    "Space",
    "SpaceError",
    "macro_space",
    "plan",
    "space_from_json",
    "space_of",
]
