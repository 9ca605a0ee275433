"""The control loop of the WorkerPools: observe, decide, actuate, report."""
