"""The registered model: encoded images in, detections out, in any process that has MLflow.

MLflow stores this file as text and runs it when the model is loaded (models from code). It imports only the predictor,
whose code travels beside it as a package of another name, put in here at packaging. ONNX Runtime runs the model:
NumPy, OpenCV and Pandas are all that it needs besides, and nothing is unpickled.
"""

import base64
from pathlib import Path
from typing import Any

import mlflow
import pandas  # type: ignore[import-untyped]  # without types of its own
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from yolox_core.data.image_io import decode_image
from yolox_core.errors import InputError
from yolox_core.inference.predictor import Predictor


class Detector(PythonModel):
    """`predict` takes a table with one column `image` of JPEG or PNG bytes (base64 over REST)."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the released folder that lies among the model's artifacts."""
        self._predictor = Predictor.load(Path(context.artifacts["model"]), runtime="onnx")

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: dict[str, Any] | None = None
    ) -> list[list[dict[str, Any]]]:
        """One list a row: {file_name, image_id (the row), category_id, category_name, bbox [x, y, w, h], score}.

        `params`: confidence and nms_iou, each 0 to 1; the model's own where absent. Images go through one by one,
        as in `yolox predict`, so that the boxes are the same.
        """
        thresholds = {name: (params or {}).get(name) for name in ("confidence", "nms_iou")}
        return [self._detections(row, image, thresholds) for row, image in enumerate(model_input["image"])]

    def _detections(self, row: int, image: object, thresholds: dict[str, float | None]) -> list[dict[str, Any]]:
        (found,) = self._predictor.predict([decode_image(_encoded(image, row), f"row {row}")], **thresholds)
        return found.to_json("", row)


def _encoded(image: object, row: int) -> bytes:
    """The file's bytes; REST carries them as base64 text."""
    if isinstance(image, (bytes, bytearray)):
        return bytes(image)
    if not isinstance(image, str):
        raise InputError(f"row {row}: expected an encoded image as bytes or base64 text, got {type(image).__name__}.")
    try:
        return base64.b64decode(image, validate=True)
    except ValueError as broken:
        raise InputError(f"row {row}: expected an image as base64 text: {broken}.") from broken


mlflow.models.set_model(Detector())
