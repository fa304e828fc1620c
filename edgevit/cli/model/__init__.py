"""Commands about models: list, train, evaluate."""
