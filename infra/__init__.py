"""Infrastructure: environment model, clouds, toolchain, command line and the Pulumi program."""
