"""Examples of what users build on their imports. The framework does not depend on them."""
