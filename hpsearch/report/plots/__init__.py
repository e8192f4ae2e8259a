"""Plots of the report page, each made from tables; the page arranges them."""

import pandas as pd

# Where pyarrow is installed pandas would keep text in it, which takes none that is not Unicode.
pd.set_option("mode.string_storage", "python")
