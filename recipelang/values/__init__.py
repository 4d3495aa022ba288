"""What expressions evaluate to: exact numbers with units, windows, patterns, selectors. No torch, no syntax."""
