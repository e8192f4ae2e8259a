"""hpsearch: the practitioner's recipe for tuning a neural network, as one command."""

__version__ = "0.1.0"
