"""The colours of a report, named by what they stand for, in a light and a dark edition.

A figure is drawn in the light edition; in the page every colour becomes a CSS variable, so one drawing serves both.
The hues follow Okabe and Ito (2008), which stay apart for colour-blind readers; nothing is told by colour alone.
"""

from typing import NamedTuple


class Colour(NamedTuple):
    """One role: "#rrggbb" on a light and on a dark page."""

    light: str
    dark: str


PALETTE = {
    # the page
    "ink": Colour("#1b2430", "#e6eaf0"),
    "muted": Colour("#586474", "#a3adba"),
    "line": Colour("#c9d0d9", "#3f4a58"),
    "grid": Colour("#e7ebf0", "#2a333f"),
    "surface": Colour("#fefefe", "#161c24"),
    "page": Colour("#f4f6f8", "#0e1319"),
    "note": Colour("#fff6e0", "#332a12"),
    # who a number belongs to
    "winner": Colour("#0067a9", "#5db8f0"),
    "random": Colour("#c14f00", "#f0934e"),
    "rival": Colour("#7a6200", "#d9bf45"),
    "probe": Colour("#00805f", "#3fc79d"),
    "tail": Colour("#8f4a86", "#dc9bd2"),
    # the parts of a drawing
    "trunk_fill": Colour("#e3e7ec", "#2b3440"),
    "convolution_fill": Colour("#dcecf8", "#16354d"),
    "separable_fill": Colour("#d9f1e8", "#123a2f"),
    "pooling_fill": Colour("#fbe9d7", "#462c15"),
    "head_fill": Colour("#efe6f3", "#3a2a40"),
    "skip": Colour("#b04700", "#f5a05f"),
    "shortcut": Colour("#007a5a", "#4ad0a5"),
}

# What a node computes, or which kind of cell it is.
FAMILY_FILLS = {
    "conv": "convolution_fill",
    "separable": "separable_fill",
    "pooling": "pooling_fill",
    "identity": "surface",
    "normal": "convolution_fill",
    "reduction": "pooling_fill",
}

DASHES: dict[str, tuple[float, tuple[float, ...]]] = {
    "winner": (0, ()),
    "random": (0, (5, 1.6)),
    "rival": (0, (4, 1.2, 1.2, 1.2, 1.2, 1.2)),
    "probe": (0, (1.4, 1.4)),
    "tail": (0, (6, 1.6, 1.4, 1.6)),
}
MARKERS = {"winner": "*", "random": "s", "rival": "P", "probe": "D", "tail": "^"}


def light(role: str) -> str:
    """The colour figures are drawn in."""
    return PALETTE[role].light


def css_variables(edition: str) -> str:
    """`--ink: #1b2430; ...` for edition "light" or "dark"."""
    return " ".join(f"--{role.replace('_', '-')}: {getattr(colour, edition)};" for role, colour in PALETTE.items())


def role_of(colour: str) -> str | None:
    """The role of a light colour as matplotlib writes it, None when it is none of ours."""
    return _ROLES.get(colour.lower())


_ROLES = {colour.light: role for role, colour in PALETTE.items()}
