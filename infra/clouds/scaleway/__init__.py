"""Scaleway: regions in Paris, Amsterdam and Warsaw, through `pulumiverse_scaleway`."""
