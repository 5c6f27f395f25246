"""A set of mocks on disk: planned, made shard by shard, read."""
