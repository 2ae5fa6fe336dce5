"""What every plugin of the distribution needs: property values, differences, errors, the gRPC frame."""
