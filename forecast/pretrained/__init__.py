"""The pretrained network, and how it forecasts."""
