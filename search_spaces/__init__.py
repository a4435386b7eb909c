"""What may be built: search spaces, decisions and architectures. Knows no torch."""

from search_spaces.architecture import Architecture, Choice, Setting
from search_spaces.decisions import Decision, Space
from search_spaces.errors import SpaceError
from search_spaces.macro import MacroPlan, NodePlan, macro_space, plan
from search_spaces.micro import CellPlan, MicroPlan, PairPlan, micro_plan, micro_space
from search_spaces.registry import SPACES, space_from_json, space_of
from search_spaces.tail import TailPlan, tail_plan, tail_space

__all__ = [
    "SPACES",
    "Architecture",
    "CellPlan",
    "Choice",
    "Decision",
    "MacroPlan",
    "MicroPlan",
    "NodePlan",
    "PairPlan",
    "Setting",
    "Space",
    "SpaceError",
    "TailPlan",
    "macro_space",
    "micro_plan",
    "micro_space",
    "plan",
    "space_from_json",
    "space_of",
    "tail_plan",
    "tail_space",
]
