"""`hpsearch doctor`: what of the machine and of a run's folder is as it should be."""

from hpsearch.doctor.folder import examined
from hpsearch.doctor.machine import machine

__all__ = ["examined", "machine"]
