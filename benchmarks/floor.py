"""The least that a first box can take: NumPy, OpenCV and ONNX Runtime, a session, an image. `floor.py MODEL IMAGE`."""

import sys

import cv2
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(height, width), image = session.get_inputs()[0].shape[2:], cv2.imread(sys.argv[2])
scale = min(height / image.shape[0], width / image.shape[1])
small = cv2.resize(image, (int(image.shape[1] * scale), int(image.shape[0] * scale)))
right, below = width - small.shape[1], height - small.shape[0]
fitted = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
print(session.run(None, {session.get_inputs()[0].name: fitted.transpose(2, 0, 1)[None].astype(np.float32)})[0].shape)
