"""A plain folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from fpnkit.data.files import SUFFIXES, file_identity, problems_of_files, read_rgb, read_size
from fpnkit.data.images import Category, Sample
from fpnkit.errors import DataError


class FolderSet:
    """All images below a folder in the order of their names; no boxes.

    Names that start with a dot are skipped. Images are turned upright by their Exif orientation.
    Raises `DataError` if there is no such folder or no image in it.
    """

    categories: tuple[Category, ...] = ()

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        if not folder.is_dir():
            raise DataError(
                f"{folder}: required a folder of images, found {'a file' if folder.exists() else 'nothing'}"
            )
        names = sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
        if not names:
            raise DataError(f"{folder}: required images ({' '.join(SUFFIXES)}), found none")
        self._folder, self._names = folder, names[:limit]
        self.name = folder.resolve().name + (f"_first{limit}" if limit else "")

    def __len__(self) -> int:
        return len(self._names)

    def _path(self, index: int) -> Path:
        return self._folder / self._names[index]

    def __getitem__(self, index: int) -> Sample:
        return Sample(
            image_id=index,
            image=read_rgb(self._path(index), upright=True),
            boxes=torch.zeros(0, 4),
            labels=torch.zeros(0, dtype=torch.int64),
            crowd=torch.zeros(0, dtype=torch.bool),
        )

    def identity(self, index: int) -> str:
        """Place, size and time of the last change of the file."""
        return file_identity(self._path(index))

    def title(self, index: int) -> str:
        """The file below the folder."""
        return self._names[index]

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, upright, from the file's header."""
        return read_size(self._path(index), upright=True)

    def check(self, indices: Sequence[int] | None = None) -> None:
        """Decode every image; raise `DataError` that names the missing and broken ones."""
        chosen = range(len(self)) if indices is None else indices
        problems = problems_of_files([self._path(i) for i in chosen], [self._names[i] for i in chosen])
        if problems:
            raise DataError("\n  ".join([f"{self._folder}:", *problems]))
