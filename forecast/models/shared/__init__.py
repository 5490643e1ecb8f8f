"""The base class of all models, how they are built, and the parts that several share."""
