"""From records to predictions: what fits the model, how it is batched and sent, and what an error of Triton means."""
