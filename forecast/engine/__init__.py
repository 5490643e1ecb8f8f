"""What a fit does, stage by stage, with its warm start and its exports."""
