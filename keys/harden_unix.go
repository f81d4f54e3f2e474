//go:build unix && !linux

package keys

// Harden keeps what is in memory out of core files. It MUST be called before the first key is read. It cannot be undone.
func Harden() error { return forbidCore() }
