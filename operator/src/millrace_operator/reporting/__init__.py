"""How a decision is told: status, Events, metrics, log."""
