"""The pretrained network: what it is told of a series, its weights, and its forecasts, with numpy alone."""
