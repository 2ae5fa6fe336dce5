"""Whether object store, catalogue and PRIP agree, and how they are brought to agree again."""
