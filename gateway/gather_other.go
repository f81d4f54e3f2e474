//go:build !linux

package gateway

func queued(uintptr) int { return gatherMost }

// readableFrom is not known here.
func readableFrom(uintptr, int) bool { return false }
