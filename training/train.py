"""One command per stage: `python training/train.py <stage> --help`."""

from pixart_edge_training.command import main

if __name__ == "__main__":
    main()
