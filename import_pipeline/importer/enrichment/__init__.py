"""Phase two: fetch the details of pending items concurrently and store them in batches."""
