//go:build !linux

package durable

import "os"

func SyncData(f *os.File) error { return f.Sync() }
