"""training_diagnostics_epoch_N.txt: a report of one epoch for people."""

from __future__ import annotations

from collections.abc import Callable

from fpnkit.foundation.files import write_text
from fpnkit.runs import layout
from fpnkit.training.loop import EpochEnd


def diagnostics_writer(every: int) -> Callable[[EpochEnd], None]:
    """A function for the loop that writes the text every `every` epochs."""

    def write(end: EpochEnd) -> None:
        if end.epoch % every == 0:
            write_text(end.directory / layout.diagnostics_name(end.epoch), text(end))

    return write


def text(end: EpochEnd) -> str:
    """The whole text."""
    values, training = end.validation.values, end.training
    lines = [f"Epoch {end.epoch}: {end.seconds:.1f} s, {training.count} steps, learning rate {end.lr:.3e}", ""]
    if training.count:
        lines += [*_steps(end), ""]
    lines += ["Validation, on the model that is kept", f"  loss                        {values.loss:.6g}"]
    if values.bpp_estimated is not None and values.distortion is not None and values.aux_loss is not None:
        lines.append(f"  rate, estimated             {values.bpp_estimated:.6g} bpp")
        lines.append(f"  distortion                  {values.distortion:.6g}")
        lines.append(f"  auxiliary loss              {values.aux_loss:.6g}")
    if values.map is not None and values.map50 is not None:
        lines.append(f"  mAP, mAP50                  {values.map:.4f}, {values.map50:.4f}")
    if values.bpp_level is not None and values.snr_db is not None:
        total = sum(values.bpp_level.values()) or 1.0
        lines += ["", "  level        bpp   share     SNR"]
        for name in dict.fromkeys([*values.bpp_level, *values.snr_db]):
            bpp, snr = values.bpp_level.get(name), values.snr_db.get(name)
            rate = " " * 19 if bpp is None else f"{bpp:10.6f} {100 * bpp / total:6.1f} %"
            lines.append(f"  {name:5} {rate}" + ("" if snr is None else f" {snr:6.2f} dB"))
    lines += ["", *(f"  {line}" for line in end.validation.report)]
    return "\n".join(lines) + "\n"


def _steps(end: EpochEnd) -> list[str]:
    training = end.training
    lines = ["Training", f"  mean loss of a step         {training.loss / training.count:.6g}"]
    if end.validation.values.aux_loss is not None:
        lines.append(f"  mean auxiliary loss         {training.aux_loss / training.count:.6g}")
    lines.append(f"  gradient norm, mean         {training.gradient_norm / training.count:.4g}")
    lines.append(f"  gradient norm, largest      {end.max_gradient_norm:.4g}")
    if len(end.images_per_second) > 1:
        rates = ", ".join(f"{rate:.4g}" for rate in end.images_per_second)
        lines.append(f"  images a second, each rank  {rates}")
    return lines
