"""What the broker says, with its time, or why it cannot be known."""
