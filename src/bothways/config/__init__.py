"""Settings: ``bothways.toml`` as typed, frozen values. What cannot work is refused, with its line and what to write."""

from bothways.config.loading import load, locate
from bothways.config.settings import Settings

__all__ = ["Settings", "load", "locate"]
