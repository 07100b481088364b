"""What all commands share of their help and their last line."""

from pathlib import Path


def example(text: str) -> str:
    """The end of a command's help."""
    return f"Example: {text}"


def say_output(output: Path) -> None:
    """Print where the output lies."""
    from rich.console import Console

    Console().print(f"Output: {output}", highlight=False, markup=False, soft_wrap=True)
