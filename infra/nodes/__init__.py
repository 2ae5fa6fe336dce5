"""The life of an environment's nodes: pools grow and shrink, machines are made anew, one after the other."""
