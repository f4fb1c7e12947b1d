"""A released folder as an MLflow model: a pyfunc from code, with the detector's package beside it.

Nothing in it is pickled: the code is `pipeline/serving/pyfunc_model.py` as text, the weights are safetensors and
ONNX. `yolox_core` travels along, so that the model loads where this project is not installed.
"""

import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.models.model import Model

SERVING_CODE = Path(__file__).parents[1] / "serving" / "pyfunc_model.py"
CORE = Path(__file__).parents[2] / "yolox_core"
ARTIFACT = "model"  # the released folder's name among the model's artifacts
# what Predictor needs for a released folder; MLflow would guess it by running the model, slowly
SERVING_NEEDS = (
    "mlflow",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pandas",
    "safetensors",
    "torch",
    "torchvision",
)


def package(released: Path, target: Path, model: "Model") -> None:
    """Write the MLflow model of a released folder to `target`, which must not exist."""
    import mlflow.pyfunc

    # uv's environments have no pip; MLflow would say so at every registration
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # it asks for an example input besides the signature: whole images, stored a second time
        warnings.filterwarnings("ignore", message=".*input example was not provided", category=UserWarning)
        mlflow.pyfunc.save_model(
            path=str(target),
            mlflow_model=model,
            python_model=str(SERVING_CODE),
            artifacts={ARTIFACT: str(released.resolve())},
            code_paths=[str(CORE)],
            signature=signature(),
            pip_requirements=requirements(),
        )


def signature() -> "ModelSignature":
    """One column of encoded images in; for each a list of detections (DESIGN.md's JSON) out; two thresholds."""
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
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema([ColSpec(Array(detection), "detections")]),
        params=ParamSchema([ParamSpec(name, DataType.double, None) for name in ("confidence", "nms_iou")]),
    )


def requirements() -> list[str]:
    """The installed versions, without the local part (`+cpu`) that no index knows."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in SERVING_NEEDS]
