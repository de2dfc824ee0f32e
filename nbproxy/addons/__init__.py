"""What the proxy does with the same API that its users have."""
