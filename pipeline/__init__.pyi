from pipeline.predict.found import Found as Found
from pipeline.predictor import Predictor as Predictor
