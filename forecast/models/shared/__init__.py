"""What the models share: the base class and the parts they are put together from."""
