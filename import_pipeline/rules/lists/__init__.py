"""Rules for reading a list: signs of a next page, cycles, the identity of a list, the status of a page. No I/O."""
