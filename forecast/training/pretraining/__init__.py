"""Pretrain the network that ships: draw synthetic series, train on masked futures, write the weights."""
