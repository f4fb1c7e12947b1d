"""Ask `yolox serve` what is in an image: python examples/call_server.py http://127.0.0.1:8000 IMAGE

Nothing but the standard library is needed. A token, where the server wants one, is read from YOLOX_SERVE_TOKEN.
"""

import json
import os
import sys
import uuid
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def main(url: str, image: str) -> None:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{Path(image).name}"\r\n'
    body = head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + Path(image).read_bytes()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    if "YOLOX_SERVE_TOKEN" in os.environ:
        headers["Authorization"] = f"Bearer {os.environ['YOLOX_SERVE_TOKEN']}"
    request = Request(f"{url.rstrip('/')}/predict", body + f"\r\n--{boundary}--\r\n".encode(), headers)
    try:
        with urlopen(request, timeout=30) as response:
            answer = json.load(response)
    except HTTPError as refused:
        sys.exit(f"{refused.code}: {refused.read().decode(errors='replace')}")
    model, size = answer["model"], answer["image"]
    print(f"{model['name']} {model['version']}, {size['width']} x {size['height']} px, {answer['time_ms']} ms")
    for found in answer["detections"]:
        print(f"{found['category_name']} {found['score']:.2f} {[round(side) for side in found['bbox']]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
