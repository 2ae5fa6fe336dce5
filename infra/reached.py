"""How far an environment has been brought up: it may go on from there, and not silently lose what is above."""

import pulumi
from pulumi.dynamic import DiffResult, Resource

from refsys.infra.errors import UserError
from refsys.infra.layers import LAYERS, Layer, reaches
from refsys.infra.managed import Managed, Properties


class _ReachedProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["environment"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        return {}

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        name, wanted, reached = news["environment"], news["until"], olds["until"]
        if not reaches(wanted, reached):
            above = ", ".join(LAYERS[LAYERS.index(wanted) + 1 : LAYERS.index(reached) + 1])
            raise UserError(
                f"environment {name} was brought up to {reached}; to stop at {wanted} now would remove {above} with "
                "all data, and nothing was changed",
                fix=f"./refsys up {name} --until {reached}; to be rid of it: ./refsys down {name}, then up again",
            )
        return super().diff(_id, olds, news)


class Reached(Resource, module="refsys", name="Layers"):
    """The layer up to which an environment is brought. A lower one than before is refused, in a preview too."""

    until: pulumi.Output[str]

    def __init__(self, environment: str, until: Layer) -> None:
        """Note the layer."""
        super().__init__(_ReachedProvider(), "layers", {"environment": environment, "until": until})
