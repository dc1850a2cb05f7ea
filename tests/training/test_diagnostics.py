"""The report of an epoch, number by number."""

from pathlib import Path

from fpnkit.training.diagnostics import diagnostics_writer, text
from fpnkit.training.loop import EpochEnd, Validation
from fpnkit.training.tally import Tally, Values

TRAINING = Tally(count=4, loss=10.0, distortion=8.0, aux_loss=2.0, gradient_norm=6.0, pixels=100.0)
CODEC = Values(
    loss=2.25,
    bpp_estimated=0.4,
    distortion=185.0,
    aux_loss=0.125,
    snr_db={"p2": 12.345, "p3": 7.0},
    bpp_level={"p2": 0.3, "shared": 0.1},
)


def end(directory: Path, values: Values, training: Tally = TRAINING, epoch: int = 6) -> EpochEnd:
    validation = Validation(values, dict, ["p2: latents in [-3.0, 4.0], 1 of 8 channels dead"])
    return EpochEnd(directory, epoch, training, 3.5, validation, 1.25e-3, 12.34, lambda: None)


def test_of_a_codec(tmp_path: Path) -> None:
    assert text(end(tmp_path, CODEC)) == (
        "Epoch 6: 12.3 s, 4 steps, learning rate 1.250e-03\n"
        "\n"
        "Training\n"
        "  mean loss of a step         2.5\n"
        "  mean auxiliary loss         0.5\n"
        "  gradient norm, mean         1.5\n"
        "  gradient norm, largest      3.5\n"
        "\n"
        "Validation, on the model that is kept\n"
        "  loss                        2.25\n"
        "  rate, estimated             0.4 bpp\n"
        "  distortion                  185\n"
        "  auxiliary loss              0.125\n"
        "\n"
        "  level        bpp   share     SNR\n"
        "  p2      0.300000   75.0 %  12.35 dB\n"
        "  shared   0.100000   25.0 %\n"
        "  p3                          7.00 dB\n"
        "\n"
        "  p2: latents in [-3.0, 4.0], 1 of 8 channels dead\n"
    )


def test_of_a_detector_and_of_an_epoch_without_steps(tmp_path: Path) -> None:
    assert text(end(tmp_path, Values(loss=0.75, map=0.25, map50=0.5), Tally())) == (
        "Epoch 6: 12.3 s, 0 steps, learning rate 1.250e-03\n"
        "\n"
        "Validation, on the model that is kept\n"
        "  loss                        0.75\n"
        "  mAP, mAP50                  0.2500, 0.5000\n"
        "\n"
        "  p2: latents in [-3.0, 4.0], 1 of 8 channels dead\n"
    )


def test_only_every_so_many_epochs(tmp_path: Path) -> None:
    write = diagnostics_writer(3)
    for epoch in range(1, 7):
        write(end(tmp_path, CODEC, epoch=epoch))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "training_diagnostics_epoch_3.txt",
        "training_diagnostics_epoch_6.txt",
    ]
