"""Windows of a panel: cutting, scaling, transforms, covariates, ready for a network."""
