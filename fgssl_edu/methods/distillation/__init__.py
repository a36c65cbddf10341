"""Self-distillation: a network learns from a slow copy of itself."""
