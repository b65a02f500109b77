// Package scratch runs disposable PostgreSQL servers over throw-away
// directories: unix socket only, nothing that can act on the world, killed and
// removed afterwards.
package scratch
