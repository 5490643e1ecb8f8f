"""Train networks: plan, rounds of candidates, loop, devices."""
