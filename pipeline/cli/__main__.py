"""`python -P -m pipeline.cli`: the `yolox` command where the code is there and not installed, as in a Ray job."""

from pipeline.cli.main import main

if __name__ == "__main__":
    main()
