"""The layers of an environment, each upon the one before."""

from typing import Literal, get_args

Layer = Literal["infrastructure", "cluster", "platform", "chain"]
LAYERS: tuple[Layer, ...] = get_args(Layer)
TOP: Layer = "chain"
VARIABLE = "REFSYS_UNTIL"
"""Environment variable that takes the place of the config's `until` for one run of the program."""


def reaches(until: Layer, layer: Layer) -> bool:
    """Whether an environment that is brought up to `until` has `layer`."""
    return LAYERS.index(until) >= LAYERS.index(layer)
