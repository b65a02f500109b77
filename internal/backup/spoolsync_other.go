//go:build !linux

package backup

import "os"

// dataSync makes a file's content and length durable.
func dataSync(f *os.File) error { return f.Sync() }
