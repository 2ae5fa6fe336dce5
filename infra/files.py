"""A file in the environment's folder on the operator's machine."""

import pulumi
from pulumi.dynamic import Resource

from refsys.infra import paths
from refsys.infra.managed import GoneError, Managed, Properties


class _FileProvider(Managed):
    def identity(self, props: Properties) -> str:
        return f"{props['environment']}/{props['file']}"

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        path = paths.environment_home(props["environment"]) / props["file"]
        paths.write_private(path, props["content"])
        return {"path": str(path)}

    def probe(self, props: Properties) -> str:
        path = paths.environment_home(props["environment"]) / props["file"]
        if not path.exists():
            raise GoneError
        return "" if path.read_text() == props["content"] else "the content was changed"

    def remove(self, props: Properties) -> None:
        (paths.environment_home(props["environment"]) / props["file"]).unlink(missing_ok=True)


class EnvironmentFile(Resource, module="refsys", name="File"):
    """A 0600 file; its content is secret in the state."""

    path: pulumi.Output[str]

    def __init__(self, file: str, environment: str, content: pulumi.Input[str]) -> None:
        """Keep `content` in the file of that name."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["content"])
        props = {"environment": environment, "file": file, "content": pulumi.Output.secret(content), "path": None}
        super().__init__(_FileProvider(), f"file-{file}", props, secret)
