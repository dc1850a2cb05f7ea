"""The wheel holds configs and notebooks, which lie beside the package here; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_FOLDERS = {"configs": ("**/*.yaml",), "notebooks": ("*.ipynb", "onnx_detector.py", "stand_in.py")}


class BuildWithFiles(build_py):
    """Copies them to where `fpnkit.foundation.shipped` looks."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder, patterns in _FOLDERS.items():
            for file in sorted(file for pattern in patterns for file in Path(folder).glob(pattern)):
                target = Path(self.build_lib) / "fpnkit" / "shipped" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)


setup(cmdclass={"build_py": BuildWithFiles})
