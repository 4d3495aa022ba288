"""A sample of a plug-in: `method = acme.topk(k = 3)`."""
