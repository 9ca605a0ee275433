"""Show the registry of models as ModelVersions, so that kubectl can tell what became of each version."""
