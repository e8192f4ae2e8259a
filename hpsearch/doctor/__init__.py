"""`hpsearch doctor`: what of the machine and of a run's folder is as it should be."""
