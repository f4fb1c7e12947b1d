"""Small objects in a large image, drawn: python examples/slice_large_image.py MODEL IMAGE OUT.jpg"""

import sys

import cv2
import supervision as sv

from pipeline import Predictor


def main(model: str, image: str, out: str) -> None:
    plain = Predictor(model)
    sliced = plain.sliced(overlap=0.2)  # tiles of the model's own input size
    print(f"at once: {len(plain(image))} objects, in tiles: {len(found := sliced(image))}")
    detections = found.to_supervision()
    drawn = sv.BoxAnnotator().annotate(cv2.imread(image), detections)
    cv2.imwrite(out, sv.LabelAnnotator().annotate(drawn, detections, labels=found.names.tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
