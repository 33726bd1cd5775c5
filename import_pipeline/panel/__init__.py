"""The page for operators: what imports do, how long they still take, and the buttons to act."""
