"""The revisions of the application's tables, in order of their numbers."""

from pathlib import Path

FOLDER = Path(__file__).parent
