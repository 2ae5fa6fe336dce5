"""What the services of the chain share: settings, messages, logs, database, bus, object store, operations."""
