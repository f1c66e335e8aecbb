"""What a user would otherwise pick, with the same imaging and engine: each written as its own documentation advises."""
