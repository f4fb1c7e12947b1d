"""The registered model: encoded images in, detections out, in any process that has MLflow.

MLflow stores this file as text and runs it when the model is loaded (models from code). It imports only the predictor,
whose code travels beside it as a package of another name, put in here at packaging. ONNX Runtime runs the model:
NumPy, OpenCV and Pandas are all that it needs besides, and nothing is unpickled.

Its signature names no inputs (pyfunc_packaging.py), so that MLflow hands over what it was given as it is: each form of
its scoring protocol, and in Python tables, lists, bytes and arrays.
"""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas  # type: ignore[import-untyped]  # without types of its own
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from yolox_core.data.base64_text import decode_base64
from yolox_core.errors import InputError, nearest
from yolox_core.inference.predictor import Predictor

IMAGE = "image"  # the column, or key
THRESHOLDS = ("confidence", "nms_iou")
RAISE, RETURN = "raise", "return"  # of on_error


class Refused(MlflowException, ValueError):
    """Input that cannot be used, in one line; of any other class, MLflow's server would answer with its traceback."""

    def __init__(self, line: str) -> None:
        super().__init__(line, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The line alone: MLflow's server would put the whole request before it."""
        return str(self.args[0])

    @message.setter
    def message(self, _: str) -> None:
        pass


class Detector(PythonModel):
    """`predict` takes encoded images, as bytes or base64 text, or BGR pixels (as `as_bgr` of yolox_core takes them)."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the released folder that lies among the model's artifacts."""
        self._predictor = Predictor.load(Path(context.artifacts["model"]), runtime="onnx")

    def predict(
        self, context: PythonModelContext, model_input: pandas.DataFrame, params: dict[str, Any] | None = None
    ) -> list[list[dict[str, Any]] | dict[str, str]]:
        """One list a row: {file_name, image_id (the row), category_id, category_name, bbox [x, y, w, h], score}.

        `model_input`: see `images_of`; its type hint is one of those from which MLflow derives nothing. `params`:
        confidence and nms_iou, each 0 to 1; the model's own where absent. on_error: "raise" ends at the first row that
        cannot be read; "return" puts {"error": <one line>} in its place. Images go through one by one, as in
        `yolox predict`, so that the boxes are the same.
        """
        given = params or {}
        thresholds = {name: given.get(name) for name in THRESHOLDS}
        try:
            ends = _ends_at_first(given.get("on_error"))
            return [self._row(row, image, thresholds, ends) for row, image in enumerate(images_of(model_input))]
        except InputError as refused:
            raise Refused(str(refused)) from refused
        finally:
            self._predictor.losses.warn()

    def _row(
        self, row: int, image: object, thresholds: dict[str, float | None], ends: bool
    ) -> list[dict[str, Any]] | dict[str, str]:
        try:
            where = f"row {row}"
            pixels = self._predictor.read(_content(image, where), where)
        except InputError as refused:
            if ends:
                raise
            return {"error": str(refused)}
        (found,) = self._predictor.predict([pixels], **thresholds)
        return found.to_json("", row)


def images_of(given: Any) -> list[Any]:
    """The images, one a row: of a table or mapping under `image`, else those of a list or array, or the one image."""
    if isinstance(given, pandas.DataFrame):
        unnamed = len(given.columns) == 1 and given.columns[0] in (0, "0")  # a list's; Spark's
        return list(given[given.columns[0]]) if unnamed else list(given[_image_among(list(given.columns))])
    if isinstance(given, Mapping):
        return _listed(given[_image_among(list(given))])
    if isinstance(given, (list, tuple)):
        return [one[_image_among(list(one))] if isinstance(one, Mapping) else one for one in given]
    return _listed(given)


def _image_among(names: list[Any]) -> Any:
    """The image's name; InputError where it is missing, or where a parameter stands beside it that nobody reads."""
    if IMAGE not in names:
        got = ", ".join(map(str, names))[:100] or "none"
        raise InputError(f"input: expected a column '{IMAGE}', got: {got}. Name it so.")
    for name in (*THRESHOLDS, "on_error"):
        if name in names:
            raise InputError(f"input: {name}: expected among `params`, got a column. Move it there.")
    return IMAGE


def _listed(given: Any) -> list[Any]:
    if isinstance(given, pandas.Series):
        return list(given)
    if isinstance(given, (list, tuple)):
        return list(given)
    if isinstance(given, np.ndarray) and not _is_pixels(given) and given.ndim:
        return list(given) if given.ndim > 2 else list(given.ravel())  # [N, 1]: a table's values
    return [given]


def _is_pixels(given: Any) -> bool:
    return given.ndim == 3 and given.dtype.kind in "uif"


def _ends_at_first(on_error: str | None) -> bool:
    if on_error not in (None, RAISE, RETURN):
        known = nearest(str(on_error)[:40], (RAISE, RETURN))
        raise InputError(f"on_error: expected {RAISE} or {RETURN}, got {str(on_error)[:40]!r}. {known}")
    return on_error != RETURN


def _content(image: Any, where: str) -> bytes | npt.NDArray[Any]:
    """An image's encoded bytes, or its pixels; InputError where it is neither."""
    if isinstance(image, np.ndarray) and not image.ndim:
        image = image.item()  # as MLflow's server hands over a text
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, str):
        return decode_base64(image, where)
    if isinstance(image, PurePath):
        raise InputError(f"{where}: expected an image's content, got the path {str(image)[:80]!r}. Read the file.")
    if isinstance(image, np.ndarray):
        return image
    got = type(image).__name__
    raise InputError(f"{where}: expected an encoded image as bytes or base64 text, or BGR pixels, got {got}.")


mlflow.models.set_model(Detector())
