"""Load and scaling benchmarks of Millrace."""
