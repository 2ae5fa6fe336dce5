"""Evidence of an environment in one archive, for whoever looks for a fault elsewhere; every secret in it is masked."""
