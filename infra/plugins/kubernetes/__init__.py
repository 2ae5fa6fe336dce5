"""`pulumi-resource-kubernetes`: serves the resources of `pulumi_kubernetes` by server-side apply."""
