"""Distribution: the publisher, and the PRIP/AUXIP service that users query and download from."""
