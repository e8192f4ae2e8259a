"""A run in the formats of other tools: a module per format, each with one function, `write`."""

from enum import StrEnum


class Format(StrEnum):
    """Each is the name of its module, and but for csv of the extra that it needs."""

    csv = "csv"
    optuna = "optuna"
    tensorboard = "tensorboard"
    mlflow = "mlflow"
