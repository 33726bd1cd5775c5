"""The web page for operators: the imports, their progress and forecast, and buttons to act."""
