"""What tells one model's streams from another's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import Tensor

_BYTES = 4


def model_hash(weights: Mapping[str, Tensor]) -> str:
    """8 hex digits of a SHA-256 over a codec's `state_dict`: tables, weights and standardiser.

    Hashed are, in the order of the names: name, type and shape as text, then the bytes. Neither the device nor the
    file that the weights came from matters.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[: 2 * _BYTES]
