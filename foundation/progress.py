"""The call by which a long function says how far it is."""

from collections.abc import Callable, Mapping

# (stage, done, total, figures): done and total count whatever the stage counts; figures, such as a loss, by name
Progress = Callable[[str, int, int, Mapping[str, float]], None]
