"""A released folder as an MLflow model: a pyfunc from code, with the predictor's code beside it.

Nothing in it is pickled: the code is `pipeline/serving/pyfunc_model.py` as text, the weights are safetensors and
ONNX. The part of `yolox_core` that predicts travels along under a name of its own (model_code.py), so that the model
loads where this project is not installed, and beside another release of it. It runs the ONNX file, without PyTorch.
"""

import logging
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.registry.model_code import imported_from_core, renamed, write_code

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.models.model import Model

SERVING_CODE = Path(__file__).parents[1] / "serving" / "pyfunc_model.py"
ARTIFACT = "model"  # the released folder's name among the model's artifacts
# what prediction needs; MLflow would guess it by running the model, slowly. Its small package can load and serve models
SERVING_NEEDS = ("mlflow-skinny", "numpy", "onnxruntime", "opencv-python-headless", "pandas")


def package(released: Path, target: Path, model: "Model") -> None:
    """Write the MLflow model of a released folder to `target`, which must not exist."""
    import mlflow.pyfunc

    # uv's environments have no pip; MLflow would say so at every registration
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="yolox-code-") as code, warnings.catch_warnings():
        # it asks for an example input besides the signature: whole images, stored a second time
        warnings.filterwarnings("ignore", message=".*input example was not provided", category=UserWarning)
        package_name = write_code(Path(code), *imported_from_core(SERVING_CODE))
        mlflow.pyfunc.save_model(
            path=str(target),
            mlflow_model=model,
            python_model=str(SERVING_CODE),
            artifacts={ARTIFACT: str(released.resolve())},
            code_paths=[str(Path(code) / package_name)],
            signature=signature(),
            pip_requirements=requirements(),
        )
    # only now: MLflow has run it once, where no package has that name
    (target / SERVING_CODE.name).write_text(renamed(SERVING_CODE.read_text(encoding="utf-8"), package_name), "utf-8")


def signature() -> "ModelSignature":
    """For each image a list of detections (DESIGN.md's JSON) out; two thresholds, and what becomes of a bad row.

    No inputs: with a column of binary, MLflow decodes base64 in two of the four forms of its protocol and refuses it in
    the others (mlflow/utils/proto_json_utils.py), and takes no bytes, lists and pixels. The model reads them all.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    detection = Object(
        [
            Property("file_name", DataType.string),
            Property("image_id", DataType.long),
            Property("category_id", DataType.long),
            Property("category_name", DataType.string),
            Property("bbox", Array(DataType.double)),
            Property("score", DataType.double),
        ]
    )
    return ModelSignature(
        outputs=Schema([ColSpec(Array(detection), "detections")]),
        params=ParamSchema(
            [
                *(ParamSpec(name, DataType.double, None) for name in ("confidence", "nms_iou")),
                ParamSpec("on_error", DataType.string, "raise"),
            ]
        ),
    )


def requirements() -> list[str]:
    """The installed versions, without the local part (`+cpu`) that no index knows."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in SERVING_NEEDS]
