from pipeline.predict.detections import Found as Found
from pipeline.predict.predictor import Predictor as Predictor
