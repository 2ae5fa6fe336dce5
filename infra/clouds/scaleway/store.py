"""Object storage."""

import pulumi
from pulumiverse_scaleway import object as store

from refsys.infra.clouds.common.names import OWNER, named
from refsys.infra.clouds.scaleway.settings import Scaleway

_Rule = store.BucketServerSideEncryptionConfigurationRuleArgs
_Default = store.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs


class Bucket(pulumi.ComponentResource):
    """A private bucket; what is in it is encrypted, and what is overwritten stays as an older version."""

    def __init__(
        self, environment: str, name: str, settings: Scaleway, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make the bucket; while something is in it, it cannot be removed."""
        super().__init__("refsys:scaleway:Bucket", f"bucket-{name}", None, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = store.Bucket(
            f"bucket-{name}",
            name=named(environment, name),
            region=settings.region,
            project_id=settings.project,
            versioning=store.BucketVersioningArgs(enabled=True),
            force_destroy=False,
            tags={"owner": OWNER, "environment": environment},
            opts=child,
        )
        store.BucketAcl(
            f"bucket-{name}-acl",
            bucket=made.id,
            acl="private",
            region=settings.region,
            project_id=settings.project,
            opts=child,
        )
        store.BucketServerSideEncryptionConfiguration(
            f"bucket-{name}-encryption",
            bucket=made.id,
            rules=[_Rule(apply_server_side_encryption_by_default=_Default(sse_algorithm="AES256"))],
            region=settings.region,
            project_id=settings.project,
            opts=child,
        )
        self.register_outputs({})
