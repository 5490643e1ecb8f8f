"""The pretrained network in numpy: its input features, its weights, its forecasts."""
