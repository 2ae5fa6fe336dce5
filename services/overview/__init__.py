"""The portal's page: whether the environment is well, what fires, key figures, costs."""
