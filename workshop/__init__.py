"""What makes the shipped weights: synthetic series of many kinds, and the pretraining on them."""
