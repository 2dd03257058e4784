"""Bringing the past along: event files that are there already, from folders, archives and buckets, into a store as runs."""
