"""The network: NumPy only, every array led by the trial axis; knows nothing of trials or files.

The letters of every shape: K trials of the cohort, N rows of the minibatch, D inputs of the
first layer, I and O inputs and outputs of any layer, C classes, P numbers in one trial's weights
and biases together.
"""
