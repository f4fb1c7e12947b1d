"""Each object of a folder of images as an image of its own: python examples/crops.py MODEL FOLDER OUT

`yolox predict FOLDER --crops OUT` does so by class; this is where to start for rules of one's own.
"""

import sys
from pathlib import Path

import cv2

from pipeline import Predictor


def main(model: str, folder: str, out: str) -> None:
    Path(out).mkdir(parents=True, exist_ok=True)
    images = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    for path, answer in zip(images, Predictor(model).stream(images), strict=True):
        if isinstance(answer, Exception):  # an image that cannot be read; the others go on
            print(answer)
            continue
        pixels, found = answer
        for number, (x1, y1, x2, y2) in enumerate(found.boxes.round().astype(int)):
            if x2 > x1 and y2 > y1:
                cv2.imwrite(str(Path(out) / f"{path.stem}_{number}.png"), pixels[y1:y2, x1:x2])
        print(f"{path.name}: {len(found)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
