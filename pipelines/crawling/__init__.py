"""What `crawl_site` is made of: the frontier, a visit, and the sources that pages become."""
