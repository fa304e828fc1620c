"""The page of ``edgevit report``: one HTML file with charts as SVG."""
