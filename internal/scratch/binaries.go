package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrNoBinaries means that no server program of the wanted major version was
// found on this host.
var ErrNoBinaries = errors.New("no PostgreSQL server program of this major version")

// Binaries are the programs of one PostgreSQL installation.
type Binaries struct {
	Dir      string
	Postgres string
	Amcheck  string // pg_amcheck; empty when it is not installed
	Version  string // "15.18"
}

var versionOutput = regexp.MustCompile(`\(PostgreSQL\) (\d+)(\S*)`)

// FindBinaries looks for PostgreSQL of a major version: in the configured
// directory alone when there is one, else on the PATH and where Debian, Red
// Hat and a build from source put it. A scratch server must have production's
// major version, since a data directory belongs to one. ErrNoBinaries.
func FindBinaries(ctx context.Context, major int, configured string) (Binaries, error) {
	dirs := []string{configured}
	if configured == "" {
		dirs = []string{
			fmt.Sprintf("/usr/lib/postgresql/%d/bin", major),
			fmt.Sprintf("/usr/pgsql-%d/bin", major),
			"/usr/local/pgsql/bin",
		}
		if p, err := exec.LookPath("postgres"); err == nil {
			// A link on the PATH does not have the other programs beside it.
			if real, err := filepath.EvalSymlinks(p); err == nil {
				p = real
			}
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	var seen []string
	for _, d := range dirs {
		b, found, err := inspectBinaries(ctx, d)
		switch {
		case err != nil:
			seen = append(seen, fmt.Sprintf("%s: %v", d, err))
		case found != major:
			seen = append(seen, fmt.Sprintf("%s: version %s", d, b.Version))
		default:
			return b, nil
		}
	}
	return Binaries{}, fmt.Errorf("%w: %d (looked at %s); install it, or set drill.bin_dir to the directory that holds postgres",
		ErrNoBinaries, major, strings.Join(seen, "; "))
}

func inspectBinaries(ctx context.Context, dir string) (Binaries, int, error) {
	b := Binaries{Dir: dir, Postgres: filepath.Join(dir, "postgres")}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, b.Postgres, "--version").Output()
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return b, 0, errors.New("no postgres here")
		}
		return b, 0, err
	}
	m := versionOutput.FindStringSubmatch(string(out))
	if m == nil {
		return b, 0, fmt.Errorf("postgres --version says %q", out)
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return b, 0, err
	}
	b.Version = m[1] + m[2]
	if p := filepath.Join(dir, "pg_amcheck"); isProgram(p) {
		b.Amcheck = p
	}
	return b, major, nil
}

func isProgram(path string) bool {
	i, err := os.Stat(path)
	return err == nil && i.Mode().IsRegular() && i.Mode().Perm()&0o111 != 0
}
