"""Read imports for displays: details, lists, forecasts, stalled imports. Nothing here sends a request."""
