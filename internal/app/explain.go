package app

import (
	"context"
	"errors"
	"strings"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/action/tracker"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/postmortem/review"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/store/pgstore"
	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// Class sorts errors for exit codes.
type Class int

// The classes.
const (
	ClassError      Class = iota // anything else
	ClassUsage                   // the command line or the configuration
	ClassVerdict                 // it cannot be restored, or not so
	ClassRepository              // the repository cannot be used
	ClassCancelled
)

// Explanation is an error as a person is told it. Code is stable.
type Explanation struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Next    string `json:"next"`
	Class   Class  `json:"-"`
}

// explanations are in order of precedence.
var explanations = [...]struct {
	err   error
	code  string
	class Class
	next  string
}{
	{context.Canceled, "cancelled", ClassCancelled, "nothing half-made is believed; run it again when you like"},
	{config.ErrNoFile, "no-configuration", ClassUsage, "make one with refloat init, name it with --config, or use --repo URL without one"},
	{ErrUsage, "usage", ClassUsage, "see refloat help"},
	{ErrNoTarget, "no-target", ClassUsage, "name a target of the configuration, or add it there (refloat config check)"},
	{postgres.ErrPasswordInDSN, "password-in-dsn", ClassUsage, "write the password to a file of its own (chmod 600) and name it with password_file"},
	{restore.ErrNotCovered, "not-covered", ClassVerdict, "run refloat coverage to see what can be restored, and ask for such a point"},
	{restore.ErrNotEmpty, "not-empty", ClassUsage, "name an empty directory, or use --delta"},
	{restore.ErrServerLives, "server-lives", ClassUsage, "stop that server, or name another directory"},
	{restore.ErrServerLeft, "server-out-of-sight", ClassUsage, "make sure that no server runs on it, then remove its postmaster.pid"},
	{restore.ErrNoSpace, "no-space", ClassError, "free some room, or name a directory on another file system"},
	{restore.ErrOtherCluster, "other-cluster", ClassUsage, "name another directory"},
	{ErrNotRecovered, "not-recoverable", ClassVerdict, "run: refloat coverage TARGET"},
	{repository.ErrPassphrase, "wrong-passphrase", ClassRepository, "check repository.passphrase_file: the passphrase is the one that the repository was made with"},
	{repository.ErrNoRepository, "no-repository", ClassRepository, "check the location; make a new repository with refloat repo init"},
	{repository.ErrExists, "repository-exists", ClassRepository, "use it as it is, or choose another location"},
	{repository.ErrVersion, "repository-version", ClassRepository, "use the Refloat that wrote it, or a newer one"},
	{repository.ErrFull, "repository-full", ClassRepository, "make room, then run: refloat retention --apply and refloat repo maintain"},
	{repository.ErrUnreachable, "repository-unreachable", ClassRepository, "check the location, the network and the credentials"},
	{proof.ErrForged, "proof-forged", ClassVerdict, "do not trust it; drill again: refloat drill TARGET"},
	{proof.ErrNoProof, "no-proof", ClassError, "run: refloat drill TARGET"},
	{backup.ErrBroken, "backup-damaged", ClassRepository, "restore from another backup (refloat backups), run refloat repo verify --full, and take a new full backup"},
	{backup.ErrLogBroken, "log-damaged", ClassRepository, "run refloat coverage to see what can be restored, and take a new base backup"},
	{repository.ErrCorrupt, "repository-damaged", ClassRepository, "run: refloat repo verify --full; then take a new full base backup"},
	{backup.ErrNoBackup, "no-backup", ClassVerdict, "take one: refloat backup TARGET"},
	{backup.ErrWrongCluster, "wrong-cluster", ClassError, "check the DSN, or give the new cluster a target name of its own"},
	{backup.ErrDiverged, "log-diverged", ClassError, "give the server a target name of its own, and take a base backup of it"},
	{backup.ErrServerBehind, "server-behind", ClassError, "check that the DSN leads to the current primary"},
	{backup.ErrClock, "clock", ClassError, "set this machine's clock right"},
	{backup.ErrNeeded, "backup-needed", ClassError, "delete those first"},
	{ErrFileExists, "file-exists", ClassUsage, "choose another name with --out, or overwrite it with --force"},
	{ErrServerRuns, "server-runs", ClassError, "stop it first, or use another state_dir"},
	{ErrNotVerified, "not-verified", ClassVerdict, "see which check did not pass: refloat incident show; lead no client to it before that is understood"},
	{ErrByHand, "by-hand", ClassError, "do it, then say so with --done"},
	{access.ErrWeak, "weak-password", ClassUsage, "choose one of twelve characters at least, like a few words that do not belong together"},
	{access.ErrInvalid, "not-accepted", ClassUsage, "see refloat user --help and refloat token --help"},
	{access.ErrTaken, "taken", ClassUsage, "refloat user list shows who there is"},
	{access.ErrNone, "no-access", ClassUsage, "refloat user list and refloat token list show what there is"},
	{access.ErrLastAdmin, "last-admin", ClassUsage, "give somebody else the role admin first: refloat user role NAME admin"},
	{incident.ErrRefused, "refused", ClassError, "see refloat incident --help"},
	{incident.ErrNothing, "nothing-to-do", ClassError, "see how it stands: refloat incident show"},
	{incident.ErrNone, "no-incident", ClassUsage, "refloat incident list --all shows them"},
	{review.ErrRefused, "refused", ClassError, "see how the review stands: refloat postmortem list"},
	{review.ErrNothing, "nothing-to-do", ClassError, "see how the review stands: refloat postmortem list"},
	{ErrNoReport, "no-report", ClassError, "save it as UTF-8 text, Markdown or HTML"},
	{ErrReportExists, "report-exists", ClassError, "give --into another name, or move the file away"},
	{ErrNotMarkdown, "not-markdown", ClassUsage, "render the report's Markdown"},
	{action.ErrRefused, "refused", ClassError, "see refloat action --help"},
	{action.ErrNothing, "nothing-to-do", ClassError, "see how it stands: refloat action show"},
	{action.ErrNone, "no-action", ClassUsage, "refloat action list --all shows them"},
	{tracker.ErrDenied, "tracker-denied", ClassError, "check the tracker's token, and that it may read and make issues in the project"},
	{tracker.ErrGone, "tracker-unknown", ClassError, "check the tracker's project, and whether the entry was deleted there"},
	{tracker.ErrBusy, "tracker-unreachable", ClassError, "run it again later: nothing was lost here"},
	{ErrNoStatusPage, "no-status-page", ClassUsage, "say what clients use, under status_page.services (docs/status-page.md)"},
	{errNotTaken, "no-server", ClassError, "start refloat server"},
	{sqlite.ErrNoState, "no-state", ClassError, "start refloat server, or check state_dir"},
	{sqlite.ErrNewer, "state-newer", ClassError, "use the Refloat that wrote it, or a newer one"},
	{pgstore.ErrNoState, "no-state", ClassError, "start refloat server, or check store.url"},
	{pgstore.ErrNewer, "state-newer", ClassError, "use the Refloat that wrote it, or a newer one"},
	{pgstore.ErrNotDurable, "store-not-durable", ClassError, "mend the setting, or use another server: what the store acknowledges must be kept"},
	{pgstore.ErrUnfit, "store-unfit", ClassError, "use another database or server for store.url"},
	{target.ErrStalled, "target-stalled", ClassError, "see whether the server is stopped, or its disk hangs; then run it again"},
	{target.ErrReadOnly, "target-read-only", ClassError, "check that the DSN leads to the current primary"},
	{target.ErrNoHeartbeat, "no-heartbeat", ClassError, "run the SQL that refloat init --grants prints"},
	{target.ErrLogRemoved, "log-removed", ClassError, "take a new base backup"},
	{repository.ErrNotFound, "not-found", ClassRepository, "run: refloat repo verify"},
}

// Explain finds an error's code, class and what to do next.
func Explain(err error) Explanation {
	e := Explanation{Code: "failed", Message: err.Error(), Next: "run it again with --verbose to see more"}
	var wrong *config.Error
	if errors.As(err, &wrong) {
		e.Code, e.Class, e.Next = "configuration", ClassUsage, "mend that line, then run: refloat config check"
		return e
	}
	if e, is := problemOfServer(err); is {
		return e
	}
	for _, x := range explanations {
		if errors.Is(err, x.err) {
			e.Code, e.Class, e.Next = x.code, x.class, x.next
			break
		}
	}
	if hint := connectionHint(e.Message); e.Code == "failed" && hint != "" {
		e.Code, e.Next = "target-unreachable", hint
	}
	return e
}

// connectionHint knows the ways in which a server refuses.
func connectionHint(message string) string {
	for _, x := range [...]struct{ has, next string }{
		{"no pg_hba.conf entry", "add the lines that refloat init --grants prints to pg_hba.conf, and reload"},
		{"password authentication failed", "check password_file"},
		{"connection refused", "check that the server runs, and host and port in the dsn"},
		{"no such host", "check the host in the dsn"},
		{"failed to connect", "check the dsn, and that the server can be reached from here"},
	} {
		if strings.Contains(message, x.has) {
			return x.next
		}
	}
	return ""
}
