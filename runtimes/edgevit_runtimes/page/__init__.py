"""A feed on a web page. Its modules need aiohttp, the extra ``[serve]``."""
