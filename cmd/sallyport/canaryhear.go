package main

import "context"

// hear waits for mail and calls until ctx ends.
func (c *canaries) hear(ctx context.Context) { <-ctx.Done() }
