"""Messages that could not be handled: rules, restarts, the parking lot."""
