"""Commands, one file each: `raise-planner NAME ...`, or `python -m experiments.MODULE ...`."""

from experiments.console.python_m import before_the_module

before_the_module()
