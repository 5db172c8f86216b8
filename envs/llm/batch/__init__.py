"""Requests that can wait, sent together by the files and batches routes, at half the price."""
