"""Measurements, as ratios within one run; speed is measured here, never in a test."""
