"""From columns to series: what columns mean, the panel, its covariates, transforms and windows."""
