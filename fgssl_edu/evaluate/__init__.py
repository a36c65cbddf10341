"""How good is a representation? Frozen features, and every score with its protocol."""
