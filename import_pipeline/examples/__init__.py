"""What users build on their imports, by the example of the items. Nothing in the framework knows of it."""
