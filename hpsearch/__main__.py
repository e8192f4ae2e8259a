"""`python -m hpsearch` and the console script."""

import os
import signal


def main() -> None:
    """The command line; while it is being imported, Ctrl-C ends everything without a word."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from hpsearch.cli import main as command_line

    signal.signal(signal.SIGINT, before)
    command_line()


if __name__ == "__main__":
    main()
