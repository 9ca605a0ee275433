"""How many replicas a pool needs, and why. Pure: no clock, network, log or chance."""
