"""What codes, events and figures are called, for whoever reads them: on paper, at a terminal, or on a page."""
