"""What no environment may become: rules over the resources of a preview, checked before anything is touched."""
