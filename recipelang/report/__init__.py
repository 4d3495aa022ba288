"""What a run or a study came to, as one page and as plots. No torch, no network, no scripts on the page."""
