// Refloat keeps databases recoverable and proves it.
package main

import (
	"os"

	"github.com/refloat-db/refloat/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
