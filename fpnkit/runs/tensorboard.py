"""metrics.jsonl as TensorBoard's event files under tb/, so that `tensorboard --logdir BASE_DIR` shows the same runs."""

import shutil
from pathlib import Path

from fpnkit.config.diff import flatten
from fpnkit.errors import RunError
from fpnkit.foundation import clock
from fpnkit.foundation.files import storage_error
from fpnkit.foundation.temporaries import remove_temporaries, temporary
from fpnkit.runs import layout
from fpnkit.runs.metrics import read_metrics

_NO_SCALARS = ("time", "split", "epoch", "step")


def write_events(run_dir: Path) -> Path:
    """Write `tb/train` and `tb/val` again and return the folder. Raises RunError without tensorboard or metrics."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise RunError("tensorboard: not installed; pip install 'fpnkit[tensorboard]'") from error
    try:
        lines = read_metrics(run_dir / layout.METRICS)
    except OSError as error:
        raise RunError(f"{run_dir / layout.METRICS}: cannot be read: {error.strerror}") from error
    if not lines:
        raise RunError(f"{run_dir}: required metrics, found none in {layout.METRICS}")
    target = run_dir / layout.TENSORBOARD
    unfinished = temporary(target)
    remove_temporaries(run_dir)
    try:
        for split in sorted({line.split for line in lines}):
            writer = EventFileWriter(str(unfinished / split))
            for line in lines:
                if line.split == split:
                    time = clock.from_text(line.time)
                    numbers = {key: value for key, value in flatten(line.to_dict()).items() if key not in _NO_SCALARS}
                    values = [Summary.Value(tag=key.replace(".", "/"), simple_value=numbers[key]) for key in numbers]
                    event = Event(wall_time=time.timestamp() if time else 0.0, step=line.step)
                    event.summary.CopyFrom(Summary(value=values))
                    writer.add_event(event)
            writer.close()
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    except OSError as error:
        raise storage_error(target, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target
