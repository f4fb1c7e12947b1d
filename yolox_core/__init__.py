"""The YOLOX detector and its training: torch, torchvision, numpy and OpenCV. No Ray, MLflow, DVC, YAML or web.

Paper: arXiv 2107.08430. Reference: Megvii-BaseDetection/YOLOX.
"""
