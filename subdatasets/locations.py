"""Image paths as they stand in a CSV: short and movable where possible, absolute where not."""

import os
from pathlib import Path


class Locations:
    """Translates between the cells of a CSV in `folder` and absolute paths; `cell` and `path` undo each other.

    A path inside the folder is written relative to it; one beside it (inside the folder's parent) with a leading
    `../`, so that a project can be moved as a whole; any other absolute. The step to the parent is textual, so it is
    taken only where the folder is no symbolic link (the operating system would step to the link target's parent).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        parent = self.folder.parent
        direct = os.path.realpath(self.folder) == os.path.join(os.path.realpath(parent), self.folder.name)
        movable = direct and ".." not in self.folder.parts and parent != parent.parent
        self._parent = parent if movable else None
        self._inside = f"{self.folder.as_posix()}/"
        self._beside = f"{parent.as_posix()}/" if movable else None

    def cell(self, path: Path) -> str:
        """The cell that stands for `path`, with forward slashes."""
        text = path.absolute().as_posix()
        if text.startswith(self._inside):
            return text[len(self._inside) :]
        if self._beside is not None and text.startswith(self._beside):
            return f"../{text[len(self._beside) :]}"
        return text

    def path(self, cell: str) -> Path:
        """The absolute path `cell` stands for; relative cells count from the folder."""
        if self._parent is not None and cell.startswith("../") and not cell.startswith("../.."):
            return self._parent / cell[3:]
        return self.folder / cell

    def existing(self, cell: str) -> Path | None:
        """The path of the file `cell` stands for, or None where there is none; backslashes are tried as slashes."""
        path = self.path(cell)
        if os.path.isfile(path):
            return path
        if "\\" in cell:
            path = self.path(cell.replace("\\", "/"))
            return path if os.path.isfile(path) else None
        return None
