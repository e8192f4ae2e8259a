"""The numbers against independent libraries: `make test-oracle`."""

import torch

torch.set_num_threads(1)  # on arrays this small threads only wait for each other
