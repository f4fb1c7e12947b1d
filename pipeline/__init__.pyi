from pipeline.predict.predictor import Found as Found
from pipeline.predict.predictor import Predictor as Predictor
from yolox_core.structures import Detections as Detections
