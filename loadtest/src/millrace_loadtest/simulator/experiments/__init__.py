"""What is measured for `make bench-scaling`: one module a kind of scenario. Each holds figures against thresholds."""
