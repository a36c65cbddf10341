"""What the bench of panels moves, by chapter of the course."""
