"""What a run found, as tables, in the terminal and on a page. Reads the store, writes nothing."""
