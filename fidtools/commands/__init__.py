"""One module per subcommand: `train_reader.py` holds `fidtools train-reader`; `_sections.py` lists them all.

A module imports click and `fidtools.commands._options` at the top and everything heavier inside its function,
so that `fidtools --help` stays fast.
"""
