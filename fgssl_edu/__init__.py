"""Self-supervised visual learning, taught and studied in notebooks, with fine-grained recognition at its heart."""

__version__ = "0.1.0"
