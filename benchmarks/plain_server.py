"""What people write first: FastAPI around OpenCV and ONNX Runtime, no code of ours. `yolox serve` stands beside it.

Started by benchmarks/serving.py: python benchmarks/plain_server.py MODEL.onnx PORT
"""

import sys
from typing import Any

import cv2
import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, UploadFile

CONFIDENCE, NMS_IOU = 0.25, 0.65

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
INPUT, SIZE = session.get_inputs()[0].name, session.get_inputs()[0].shape[2]
app = FastAPI()


@app.post("/predict")
def predict(image: UploadFile) -> list[dict[str, Any]]:
    """Objects in one image: class, score and box (x, y, width, height in its pixels)."""
    pixels = cv2.imdecode(np.frombuffer(image.file.read(), np.uint8), cv2.IMREAD_COLOR)
    height, width = pixels.shape[:2]
    scale = min(SIZE / height, SIZE / width)
    padded = np.full((SIZE, SIZE, 3), 114, np.uint8)
    resized = cv2.resize(pixels, (int(width * scale), int(height * scale)))
    padded[: resized.shape[0], : resized.shape[1]] = resized
    (output,) = session.run(None, {INPUT: padded.transpose(2, 0, 1)[None].astype(np.float32)})
    rows = output[0]  # x1, y1, x2, y2, objectness, probability of each class
    labels = rows[:, 5:].argmax(axis=1)
    scores = rows[:, 4] * rows[:, 5:].max(axis=1)
    likely = scores >= CONFIDENCE
    boxes, scores, labels = rows[likely, :4] / scale, scores[likely], labels[likely]
    boxes[:, 2:] -= boxes[:, :2]
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), labels.tolist(), CONFIDENCE, NMS_IOU)
    return [
        {"label": int(labels[index]), "score": float(scores[index]), "box": boxes[index].tolist()} for index in kept
    ]


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
