"""Methods that tell images apart: SimCLR within a batch, MoCo against a queue."""
