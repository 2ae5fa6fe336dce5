"""Whether an environment is well: machine, cluster, platform, chain, security, each with likely cause and next step."""
