"""`python -m hpsearch` and the console script."""

from hpsearch.cli import main

if __name__ == "__main__":
    main()
