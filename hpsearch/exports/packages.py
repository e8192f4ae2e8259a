"""Other people's libraries: asked for politely where they are missing, and kept from talking."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from hpsearch.errors import UsageError


def needed(module: str, kind: str, name: str) -> Any:
    """The module; UsageError, with the command that installs it, where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"--to {kind}: needs {name}, which cannot be imported ({error}); "
            f"pip install 'hpsearch[{kind}]', or use --to csv"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """No warning and no log line reaches the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
