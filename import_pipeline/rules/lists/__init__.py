"""Rules that read a list: does it go on, does it repeat, is it the same list. No I/O."""
