//go:build !race

package app

// raced says that the race detector runs, which takes several times the memory.
const raced = false
