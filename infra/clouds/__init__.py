"""One module per cloud, behind the interface in `interface.py`."""
