"""A detector that a cell defines, in a real kernel."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.support import ROOT
from tests.support.train_process import only_run, status, wait_for_lines

_SECONDS = 120
CLASS = """
import torch
import torch.nn.functional as F
import fpnkit as fk
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import Detections, ImageBatch
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

class Mean:
    spec = PyramidSpec((LevelSpec("p2", 3, 4),))
    def prepare(self, images):
        sizes = [tuple(image.shape[1:]) for image in images]
        return ImageBatch(torch.stack(list(images)) / 255, tuple(ImageGeometry(size, size, size) for size in sizes))
    def pyramid(self, batch):
        return Pyramid({"p2": F.avg_pool2d(batch.pixels, 4)})
    def complete(self, pyramid):
        return pyramid
    def detect(self, pyramid, geometry):
        return [Detections(torch.tensor([[0.0, 0.0, g.original[1], g.original[0]]]), p2.mean()[None], torch.tensor([1]))
                for p2, g in zip(pyramid["p2"], geometry)]
    def fingerprint(self):
        return "mean 1"

config = {
    "task": "fpn_compression",
    "data": {
        "train": {"kind": "shapes", "images": 4},
        "val": {"kind": "shapes", "images": 1, "seed": 5},
        "test": {"kind": "shapes", "images": 2, "seed": 7},
    },
    "codec": {"kind": "factorized", "channels": 4, "latent_channels": 4},
    "loss": {"lambda": 1e-4},
    "cache": {"directory": "FEATURES"},
    "training": {"epochs": 1, "crop": 64, "device": "cpu"},
}
"""
FIVE_LINES = """
run = fk.run(run.name)
detector, codec = run.detector(Mean()), run.codec()
data = codec.encode(detector.pyramid(image))
found = detector.detect(codec.decode(data))
fk.plot_boxes(image, found)
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Kernel"]:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    manager, client = start_new_kernel(startup_timeout=_SECONDS, kernel_name="python3", cwd=str(ROOT))
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


class Kernel:
    """Runs cells as a notebook does."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self._client = manager, client

    def start(self, cell: str) -> str:
        return str(self._client.execute(cell))

    def finish(self, cell: str) -> tuple[str, Any, str]:
        """What it printed, what it showed, and the error that it raised."""
        said, shown, error = "", None, ""
        deadline = time.monotonic() + _SECONDS
        while True:
            message = self._client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != cell:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                assert content["name"] == "stdout", content["text"]
                said += content["text"]
            elif kind == "execute_result":
                shown = content["data"]
            elif kind == "error":
                error = f"{content['ename']}: {content['evalue']}"
            elif kind == "status" and content["execution_state"] == "idle":
                return said, shown, error

    def run(self, cell: str) -> tuple[str, Any]:
        said, shown, error = self.finish(self.start(cell))
        assert error == ""
        return said, shown


def test_a_detector_of_a_cell_is_trained_for_measured_and_used(kernel: Kernel, tmp_path: Path) -> None:
    base = tmp_path / "checkpoints" / "fpn_compression"
    kernel.run(CLASS.replace("FEATURES", str(tmp_path / "features")))
    said, shown = kernel.run("run = fk.train(config, detector=Mean())\nrun")
    path = only_run(base)
    assert said.endswith(f"\n{path}\n")
    assert re.fullmatch(rf"<Run {path.name}: finished, best loss [\d.]+ of epoch 1>", shown["text/plain"])
    said, shown = kernel.run("fk.evaluate(run)['run'].tolist()")
    assert f"{path.name} on shapes_2_seed_7 (2 images): " in said
    assert shown["text/plain"] == f"['{path.name}']"
    _, shown = kernel.run(f"image = ShapesSet(1, 3)[0].image\n{FIVE_LINES}")
    assert "image/png" in shown

    cell = kernel.start("fk.train(config, detector=Mean(), training__epochs=3000, seed=1)")
    long = wait_for_lines(base, 3)  # the first run has two
    kernel.manager.interrupt_kernel()
    said, _, error = kernel.finish(cell)
    assert error == "FpnkitError: SIGINT"
    assert f'to go on: fpnkit.train(fpnkit.run("{long}"), detector=…)\n' in said
    assert status(long) == ("stopped", "SIGINT")
    interrupted = "import signal; signal.raise_signal(signal.SIGINT)"  # as before, it ends the cell and not the kernel
    assert kernel.finish(kernel.start(interrupted))[2] == "KeyboardInterrupt: "
    _, shown = kernel.run(
        f'long = fk.run("{long.name}")\n'
        "fk.train(long, detector=Mean(), training__epochs=long.info.epoch + 1).info.status"
    )
    assert shown["text/plain"] == "'finished'"
