"""Tests of concurrent programs: virtual time, and an explorer of schedules.

Nothing else of the package imports this; ``import routines.testing`` where it is needed.
"""

from .clock import VirtualClock, VirtualClockLoop
from .explorer import Exploration, explore

__all__ = ["Exploration", "VirtualClock", "VirtualClockLoop", "explore"]
