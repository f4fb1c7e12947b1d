"""How many objects of each class a video shows, second by second: python examples/count_in_video.py MODEL VIDEO

Of each second the frame with most of a class counts: a detector misses an object now and then.
"""

import sys
from collections import Counter

import supervision as sv

from pipeline import Predictor


def main(model: str, video: str) -> None:
    per_second = sv.VideoInfo.from_video_path(video).fps
    most: Counter[str] = Counter()
    second = 0
    frames = sv.get_video_frames_generator(video)
    for index, answer in enumerate(Predictor(model).stream(frames)):
        if isinstance(answer, Exception):
            raise answer
        _, found = answer
        if int(index / per_second) > second:
            print(f"second {second}: {dict(most)}")
            most, second = Counter(), int(index / per_second)
        most |= Counter(found.names.tolist())  # the larger count of each class
    print(f"second {second}: {dict(most)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
