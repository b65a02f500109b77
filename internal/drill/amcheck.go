package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/scratch"
)

// amcheck runs pg_amcheck over the copy where it is installed: tables against
// their TOAST and transaction bounds, btree indexes against order and against
// every row of their table (PostgreSQL docs, "pg_amcheck").
func (r *run) amcheck(ctx context.Context, s *copyServer, bins scratch.Binaries, databases []string) proof.Check {
	if bins.Amcheck == "" {
		return proof.Check{Outcome: proof.NotAsked, Detail: "pg_amcheck is not installed beside " + bins.Postgres}
	}
	for _, db := range databases {
		available, err := s.copy.PrepareAmcheck(ctx, db)
		if err != nil {
			return proof.Check{Outcome: proof.CouldNotRun, Detail: fmt.Sprintf("make the amcheck extension in %s: %v", db, err)}
		}
		if !available {
			return proof.Check{Outcome: proof.NotAsked, Detail: "the amcheck extension is not installed"}
		}
	}
	cred, err := scratch.Credential(r.o.RunAs)
	if err != nil {
		return proof.Check{Outcome: proof.CouldNotRun, Detail: err.Error()}
	}
	dir, port := s.server.SocketDir()
	cmd := exec.CommandContext(ctx, bins.Amcheck, "--all", "--heapallindexed", "--no-strict-names", "-j", "2",
		"-h", dir, "-p", strconv.Itoa(port), "-U", r.plan.Backup.BootstrapRole)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + bins.Dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var exit *exec.ExitError
	switch {
	case err == nil:
		return proof.Check{Outcome: proof.Passed, Detail: fmt.Sprintf("pg_amcheck over %d databases, every index against its table", len(databases))}
	case errors.As(err, &exit) && exit.ExitCode() == 2: // 2: it looked and found corruption
		return proof.Check{Outcome: proof.CheckFailed, Detail: lines[0], Evidence: lines}
	default:
		return proof.Check{Outcome: proof.CouldNotRun, Detail: fmt.Sprintf("pg_amcheck: %v: %s", err, lines[len(lines)-1]), Evidence: lines}
	}
}
