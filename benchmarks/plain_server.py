"""What people write first: FastAPI around ONNX Runtime, an image a request. `yolox serve` is measured beside it.

Started by benchmarks/serving.py: python -m benchmarks.plain_server RELEASED PORT
"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, UploadFile

from yolox_core.data.image_io import decode_image
from yolox_core.inference.predictor import Predictor


def build(released: str) -> FastAPI:
    """The same decoding, network and boxes as the service; no limits, no queue, no metrics."""
    predictor = Predictor.load(released, runtime="onnx")
    app = FastAPI()

    @app.post("/predict")
    def predict(image: UploadFile) -> list[dict[str, Any]]:
        (found,) = predictor.predict([decode_image(image.file.read(), "image")])
        return found.to_json("", 0)

    return app


if __name__ == "__main__":
    uvicorn.run(build(sys.argv[1]), port=int(sys.argv[2]), log_level="warning")
