"""What a run found, as DataFrames. Plots and views only show these."""
