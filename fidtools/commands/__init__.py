"""One module per subcommand: `train_reader.py` holds `fidtools train-reader`.

A module imports click and `fidtools.commands._options` at the top, everything heavier inside its function,
so that `fidtools --help` stays fast.
"""
