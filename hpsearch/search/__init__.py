"""What to try next: the space, how it is sampled, what its edges say, and how it is zoomed."""
