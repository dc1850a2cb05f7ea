"""The statistics of several codecs side by side, from the tables of their analyses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fpnkit.analysis.statistics.objects import SIZES, lost_shares
from fpnkit.container import SHARED


@dataclass(frozen=True)
class Entry:
    """One codec's tables and the name that distinguishes it."""

    run: str
    codec: str  # kind
    lmbda: float
    tables: Mapping[str, pd.DataFrame]  # as `fpnkit.analysis.compute` names them


def rates(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row per codec and level, or `shared`: real payload in bpp of it and of all, SNR, share of dead latents."""
    parts = []
    for entry in entries:
        bits = entry.tables["image_bits"]
        pixels = bits.drop_duplicates("image")["pixels"].sum()
        rows = bits.groupby("level", sort=False)[["payload_bits", "estimated_bits"]].sum() / pixels
        rows = rows.rename(columns={"payload_bits": "bpp", "estimated_bits": "bpp_estimated"})
        loss = entry.tables["level_loss"].set_index("level")["snr_db"]
        rows = rows.reindex([*loss.index, *rows.index.difference(loss.index)]) if SHARED in rows.index else rows
        rows["snr_db"] = loss
        if "latent_channels" in entry.tables:
            rows["dead_share"] = entry.tables["latent_channels"].groupby("level", sort=False)["dead"].mean()
        parts.append(_labeled(entry, rows.reset_index()))
    return _ordered(pd.concat(parts, ignore_index=True))


def losses(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row per codec and object size: the share lost, with its interval."""
    parts = []
    for entry in entries:
        objects = entry.tables["objects"]
        shares = lost_shares(objects[objects["truth"] == "detector"], "size")
        shares = shares.sort_values("size", key=lambda names: names.map(SIZES.index))
        parts.append(_labeled(entry, shares))
    return _ordered(pd.concat(parts, ignore_index=True))


def task(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row per codec: mAP and self-mAP on its decoded features, and without a codec."""
    parts = []
    for entry in entries:
        table = entry.tables["task"].set_index("features")
        row = table.loc["decoded"].to_dict() | {"map_uncompressed": table.loc["uncompressed", "map"]}
        parts.append(_labeled(entry, pd.DataFrame([row])))
    return _ordered(pd.concat(parts, ignore_index=True))


def _labeled(entry: Entry, table: pd.DataFrame) -> pd.DataFrame:
    bits = entry.tables["image_bits"]
    pixels = bits.drop_duplicates("image")["pixels"].sum()
    return pd.DataFrame(
        {"run": entry.run, "codec": entry.codec, "lmbda": entry.lmbda, "bpp_all": bits["payload_bits"].sum() / pixels}
        | {str(name): table[name].to_numpy() for name in table.columns}
    )


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["codec", "lmbda", "run"], kind="stable", ignore_index=True)
