"""The plan, the loop, the devices and the ensemble."""
