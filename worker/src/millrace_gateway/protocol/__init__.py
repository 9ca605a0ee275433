"""The Open Inference Protocol, as Triton speaks it over HTTP: tensors as JSON or bytes, and what a model is."""
