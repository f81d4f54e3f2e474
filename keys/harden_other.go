//go:build !unix

package keys

import "errors"

const openFlags = 0

func exclusively(_ string, do func() error) error { return do() }

// Harden refuses: on this system nothing is known that keeps memory out of dumps.
func Harden() error {
	return errors.New("forbid core files: this operating system has no way for it: run Sallyport on Linux, macOS or a BSD")
}
