"""How the classifiers of `policies.understanding` are trained: written sentences, examples, fitting."""

from argparse import Namespace

from envs import UserError


def check_file_or_folds(chosen: Namespace) -> None:
    """Raise a `UserError` unless a file to write or a number of folds, 2 or more, was given, and not both."""
    if (chosen.folds is not None) == (chosen.file is not None):
        raise UserError("expected a FILE or --folds N")
    if chosen.folds is not None and chosen.folds < 2:
        raise UserError(f"--folds: found {chosen.folds}, expected at least 2")
