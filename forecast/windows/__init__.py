"""Cut, scale and transform windows of a panel, with their covariates, for networks."""
