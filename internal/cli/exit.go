package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/refloat-db/refloat/internal/app"
)

// The exit codes, all of them; refloat help exit-codes prints this list.
const (
	exitOK           = 0
	exitError        = 1
	exitUsage        = 2
	exitVerdict      = 3
	exitInconclusive = 4
	exitRepository   = 5
	exitCancelled    = 130
	exitAbort        = 200
)

const exitHelp = `Exit codes:
  0    done; or the verdict is good
  1    an error (for log-fetch: the log ends before this file)
  2    wrong use, or a mistake in the configuration
  3    the verdict is bad: not recoverable, not proven, or an objective missed
  4    inconclusive: something could not be looked at
  5    the repository: wrong passphrase, unreachable, damaged
  130  cancelled
  200  log-fetch: recovery must abort, since the log could not be read`

// verdict ends a command that did its work with an exit code of its own.
type verdict int

func (v verdict) Error() string { return fmt.Sprintf("exit code %d", int(v)) }

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// exitCode is the one place where errors become exit codes. It prints what
// has to be said.
func exitCode(err error, stderr io.Writer, asJSON bool) int {
	var v verdict
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &v):
		return int(v)
	}
	e := app.Explain(err)
	var u usageError
	if errors.As(err, &u) {
		e = app.Explanation{Code: "usage", Message: err.Error(), Next: "see refloat help, or add --help to the command", Class: app.ClassUsage}
	}
	if asJSON {
		text, jerr := json.Marshal(map[string]app.Explanation{"error": e})
		if jerr == nil {
			fmt.Fprintln(stderr, string(text))
		}
	} else {
		fmt.Fprintf(stderr, "refloat: %s [%s]\n  next: %s\n", e.Message, e.Code, e.Next)
	}
	switch e.Class {
	case app.ClassUsage:
		return exitUsage
	case app.ClassVerdict:
		return exitVerdict
	case app.ClassRepository:
		return exitRepository
	case app.ClassCancelled:
		return exitCancelled
	}
	return exitError
}
