"""What each command does, between the words on the command line and the run."""
