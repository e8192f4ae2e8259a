"""What a run found, as DataFrames. Plots and views only show these."""

import pandas as pd

# Where pyarrow is installed pandas would keep text in it, which takes none that is not Unicode.
pd.set_option("mode.string_storage", "python")
