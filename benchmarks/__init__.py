"""Measurements, as ratios within one run; speed is measured here, never in a test."""

import os

ENVIRONMENT = dict(os.environ)  # the user's own, before a benchmark sets threads for itself
