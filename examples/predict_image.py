"""What is in an image: python examples/predict_image.py MODEL IMAGE"""

import sys

from pipeline import Predictor


def main(model: str, image: str) -> None:
    found = Predictor(model)(image)
    print(found)
    for name, score, (x1, y1, x2, y2) in zip(found.names, found.scores, found.boxes, strict=True):
        print(f"{name}: {score:.2f}, {x2 - x1:.0f} x {y2 - y1:.0f} px at ({x1:.0f}, {y1:.0f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
