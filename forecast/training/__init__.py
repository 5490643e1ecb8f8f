"""Train networks: plan, rounds of candidates, loop, checkpoints, devices."""
