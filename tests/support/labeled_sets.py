"""Small sets of labeled images with detections, and what the reference implementation makes of them."""

import contextlib
import io

import torch
from faster_coco_eval import COCO as FastCOCO
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth, detections_to_coco, truth_to_coco
from fpnkit.metrics.matches import DetectionScores


def truth(
    *boxes: list[float], labels: list[int] | None = None, crowd: list[bool] | None = None, image_id: int = 1
) -> GroundTruth:
    return GroundTruth(
        image_id,
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(labels or [1] * len(boxes), dtype=torch.int64),
        torch.tensor(crowd or [False] * len(boxes), dtype=torch.bool),
    )


def found(*boxes: list[float], scores: list[float] | None = None, labels: list[int] | None = None) -> Detections:
    return Detections(
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(scores or [0.9 - 0.1 * k for k in range(len(boxes))]),
        torch.tensor(labels or [1] * len(boxes), dtype=torch.int64),
    )


def random_set(seed: int) -> tuple[list[GroundTruth], list[Detections]]:
    """Objects, some crowds; detections that are shifted objects, doubles, wrong labels and inventions."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    labeled, detected = [], []
    for image_id in range(30):
        n = int(torch.randint(0, 9, (), generator=generator))
        corners = uniform(n, 2) * 400
        boxes = torch.cat([corners, corners + 5 + uniform(n, 2) ** 2 * 200], dim=1)
        labels = torch.randint(1, 6, (n,), generator=generator)
        labeled.append(GroundTruth(image_id * 7 + 3, boxes, labels, uniform(n) < 0.1))
        size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        shifted = [boxes + size * spread * (uniform(n, 4) - 0.5) for spread in (0.15, 0.4, 0.8)]
        invented = uniform(12, 2) * 400
        candidates = torch.cat([*shifted, torch.cat([invented, invented + 10 + uniform(12, 2) * 100], dim=1)])
        candidate_labels = torch.cat([labels, labels, labels, torch.randint(1, 7, (12,), generator=generator)])
        keep = uniform(len(candidates)) < 0.7
        detected.append(Detections(candidates[keep], uniform(len(candidates))[keep], candidate_labels[keep]))
    return labeled, detected


def fast_reference(labeled: list[GroundTruth], detected: list[Detections]) -> DetectionScores:
    """By faster-coco-eval, which refuses sets without an object or a detection."""
    if all(bool(image.crowd.all()) for image in labeled):
        return DetectionScores(None, None)
    ids = [image.image_id for image in labeled]
    results = [entry for image in zip(ids, detected, strict=True) for entry in detections_to_coco(*image)]
    if not results:
        return DetectionScores(0.0, 0.0)
    objects = FastCOCO(truth_to_coco(labeled))
    evaluation = COCOeval_faster(objects, objects.loadRes(results), iouType="bbox", print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return DetectionScores(float(evaluation.stats[0]), float(evaluation.stats[1]))


def reference(labeled: list[GroundTruth], detected: list[Detections]) -> tuple[float, float]:
    objects, results = [], []
    for image, detections in zip(labeled, detected, strict=True):
        for (left, top, right, bottom), label, crowd in zip(
            image.boxes.double().tolist(), image.labels.tolist(), image.crowd.tolist(), strict=True
        ):
            box = [left, top, right - left, bottom - top]
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": image.image_id,
                    "bbox": box,
                    "area": box[2] * box[3] / 3,  # as of a mask: decides about sizes, not about AP over all
                    "category_id": label,
                    "iscrowd": int(crowd),
                }
            )
        for (left, top, right, bottom), score, label in zip(
            detections.boxes.double().tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True
        ):
            box = [left, top, right - left, bottom - top]
            results.append({"image_id": image.image_id, "bbox": box, "score": score, "category_id": label})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image.image_id} for image in labeled],
            "categories": [{"id": number} for number in range(1, 91)],
            "annotations": objects,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])
