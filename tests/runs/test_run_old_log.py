import pytest

from fpnkit.runs.old_log import OldLog, read_old_log


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", OldLog()),
        ("started\nLossy things: 3\nepochal 9\n", OldLog()),
        ("Epoch 3/50\nloss: 0.5\n", OldLog(epoch=3, epochs=50, best_loss=0.5, best_epoch=3)),
        ("[Epoch 2 of 9] Loss 1e-2 (0.02)\n", OldLog(epoch=2, epochs=9, best_loss=0.01, best_epoch=2)),
        ("epoch=1 train_loss=0.2 val_loss=0.4\nepoch=2 train_loss=0.1 val_loss=0.6", OldLog(2, None, 0.4, 1)),
        ("{'epoch': 7, 'loss': 0.25}\n{'epoch': 8, 'loss': 0.125}\n", OldLog(8, None, 0.125, 8)),
        (
            "Train epoch 4: [0/9 (0%)]\tLoss: 0.9 |\tMSE loss: 0.001 |\n"
            "Test epoch 4: Average losses:\tLoss: 1.25 |\tMSE loss: 0.001 |\tBpp loss: 0.50 |\tAux loss: 12.3\n",
            OldLog(4, None, 1.25, 4),
        ),
        ("Epoch 5 - loss: 0.5 - val_loss: 0.75\n", OldLog(5, None, 0.75, 5)),
        ("Epoch 1: loss nan\nEpoch 2: loss: 3\n", OldLog(2, None, 3.0, 2)),
        (
            "epochs: 20, lambda: 2.5e-4, lr=5e-05, batch_size: 4, aux_lr=1\n",
            OldLog(None, 20, None, None, 2.5e-4, 5e-5, 4),
        ),
        ("Namespace(lmbda=0.01, learning_rate=0.001, batch-size=16)\n", OldLog(None, None, None, None, 0.01, 1e-3, 16)),
    ],
)
def test_common_forms_are_read(tmp_path, text, expected):
    (tmp_path / "train.log").write_text(text)
    assert read_old_log(tmp_path / "train.log") == expected


def test_any_bytes_and_a_missing_file_say_what_they_can(tmp_path):
    (tmp_path / "train.log").write_bytes(b"\xff\0\nEpoch 3\n" + b"x" * 100_000 + b"\nEpoch 99999999999999\n")
    assert read_old_log(tmp_path / "train.log").epoch == 3
    assert read_old_log(tmp_path / "none.log") == OldLog()


def test_of_a_huge_log_the_end_is_read(tmp_path):
    with open(tmp_path / "train.log", "wb") as file:
        file.write(b"Epoch 900\n")
        file.seek(40_000_000)
        file.write(b"\nEpoch 7 loss: 0.5\n")
    assert read_old_log(tmp_path / "train.log") == OldLog(7, None, 0.5, 7)
