"""Sets with masks and keypoints in COCO format, with detections, and what pycocotools makes of them."""

import contextlib
import io
from typing import Any

import numpy as np
import torch
from pycocotools import mask as mask_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fpnkit.data.segments import encode
from fpnkit.detectors.base import Detections

HEIGHT, WIDTH = 60, 80
POINTS = 17


def random_content(seed: int, images: int = 30) -> dict[str, Any]:
    """A file: polygons of one or two parts, crowds as counts and as compressed counts, people without points."""
    draw = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    for image in range(1, images + 1):
        for _ in range(draw.integers(0, 9)):
            left, top, width, height = *draw.random(2) * [50, 30], *(5 + draw.random(2) * 25)
            crowd = bool(draw.random() < 0.15)
            entry = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": int(draw.integers(1, 4)),
                "bbox": [left, top, width, height],
                "area": float(width * height * draw.uniform(0.3, 0.9)),
                "iscrowd": int(crowd),
            }
            polygons = [_around(draw, left + width / 2, top + height / 2, width / 2, height / 2)]
            if draw.random() < 0.3:
                polygons.append(_around(draw, left + width / 4, top + height / 4, width / 6, height / 6))
            entry["segmentation"] = _counts(polygons, compressed=draw.random() < 0.5) if crowd else polygons
            known = 0 if crowd or draw.random() < 0.25 else int(draw.integers(1, POINTS + 1))
            points = np.zeros((POINTS, 3))
            chosen = draw.permutation(POINTS)[:known]
            points[chosen, :2] = [left, top] + draw.random((known, 2)) * [width, height]
            points[chosen, 2] = draw.integers(1, 3, known)
            annotations.append(entry | {"keypoints": points.ravel().tolist(), "num_keypoints": known})
    return {
        "images": [
            {"id": number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH}
            for number in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": f"kind {number}"} for number in range(1, 5)],
    }


def random_detections(content: dict[str, Any], seed: int) -> list[Detections]:
    """Of each image: objects found well and badly, with equal scores among them, other labels, and inventions."""
    draw = np.random.default_rng(seed)
    found = []
    for image in content["images"]:
        objects = [entry for entry in content["annotations"] if entry["image_id"] == image["id"]]
        boxes, masks, points, labels = [], [], [], []
        for entry in [*objects, *objects, *objects]:
            left, top, width, height = entry["bbox"]
            spread = draw.choice([0.05, 0.2, 0.6])
            x, y = left + width * spread * (draw.random() - 0.5), top + height * spread * (draw.random() - 0.5)
            boxes.append([x, y, x + width, y + height])
            polygon = _around(draw, x + width / 2, y + height / 2, width / 2, height / 2)
            masks.append(mask_tools.decode(mask_tools.frPyObjects([polygon], HEIGHT, WIDTH))[:, :, 0] > 0)
            own = np.array(entry["keypoints"]).reshape(POINTS, 3)
            places = np.where(own[:, 2:] > 0, own[:, :2], [left, top] + draw.random((POINTS, 2)) * [width, height])
            moved = places + spread * (draw.random((POINTS, 2)) - 0.5) * [width, height]
            points.append(np.concatenate([moved, np.ones((POINTS, 1))], axis=1))
            labels.append(entry["category_id"] if draw.random() < 0.85 else int(draw.integers(1, 5)))
        count = len(boxes)
        found.append(
            Detections(
                torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                torch.from_numpy(draw.integers(1, 30, count) / np.float32(30)),
                torch.tensor(labels, dtype=torch.int64),
                keypoints=torch.from_numpy(np.array(points, np.float32).reshape(-1, POINTS, 3)),
                rles=encode(np.array(masks, np.bool_).reshape(-1, HEIGHT, WIDTH)),
            )
        )
    return found


def their_scores(content: dict[str, Any], results: list[dict[str, Any]], kind: str) -> tuple[float, float]:
    """AP@[.50:.95] and AP@.50 by pycocotools; `kind`: segm or keypoints."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = content
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def _around(draw: np.random.Generator, x: float, y: float, width: float, height: float) -> list[float]:
    angles = np.sort(draw.random(8)) * 2 * np.pi
    corners = np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)
    return [float(value) for value in corners.clip(0, [WIDTH, HEIGHT]).ravel()]


def _counts(polygons: list[list[float]], *, compressed: bool) -> dict[str, Any]:
    rle = mask_tools.merge(mask_tools.frPyObjects(polygons, HEIGHT, WIDTH))
    if compressed:
        return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}
    flat = mask_tools.decode(rle).T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": [0, *counts] if flat[0] else counts}
