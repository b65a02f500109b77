package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/refloat-db/refloat/internal/app"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/repository"
)

// reference renders every command as docs/cli.md has it.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nMade from the program's own help; a test keeps it so.\n\n" + exitHelp + "\n\n## Flags of every command\n\n")
	flags(&b, root.PersistentFlags())
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || strings.HasPrefix(c.CommandPath(), "refloat completion ") {
			return
		}
		if c != root {
			fmt.Fprintf(&b, "\n## %s\n\n", c.CommandPath())
			fmt.Fprintf(&b, "    %s\n\n%s.\n", c.UseLine(), c.Short)
			if c.Long != "" && !strings.HasPrefix(c.CommandPath(), "refloat completion") {
				fmt.Fprintf(&b, "\n%s\n", c.Long)
			}
			if c.Example != "" {
				fmt.Fprintf(&b, "\n%s\n", strings.ReplaceAll(c.Example, "  refloat", "    refloat"))
			}
			if c.LocalNonPersistentFlags().HasAvailableFlags() {
				b.WriteString("\n")
				flags(&b, c.LocalNonPersistentFlags())
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return b.String()
}

func flags(b *strings.Builder, set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		if name != "" {
			name = " " + name
		}
		fmt.Fprintf(b, "- `--%s%s` %s\n", f.Name, name, usage)
	})
}

func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/cli.md"
	want := reference(rootCommand(&globals{env: func(string) (string, bool) { return "", false }}))
	if os.Getenv("REFLOAT_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("docs/cli.md is not what the program says; REFLOAT_UPDATE=1 go test ./internal/cli writes it (%v)", err)
	}
}

func TestNoFlagTakesASecret(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			for _, word := range []string{"password", "passphrase", "secret", "token"} {
				if strings.Contains(f.Name, word) && !strings.HasSuffix(f.Name, "-file") && !strings.HasSuffix(f.Name, "-env") {
					t.Errorf("%s --%s takes a secret's value", c.CommandPath(), f.Name)
				}
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand(&globals{}))
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
		says string
	}{
		{nil, exitOK, ""},
		{errors.New("x"), exitError, "[failed]"},
		{usageError{errors.New("x")}, exitUsage, "[usage]"},
		{fmt.Errorf("read: %w", &config.Error{File: "refloat.yaml", Line: 3, Column: 1, Message: "unknown key"}), exitUsage, "refloat.yaml:3:1: unknown key [configuration]"},
		{verdict(exitVerdict), exitVerdict, ""},
		{verdict(exitInconclusive), exitInconclusive, ""},
		{fmt.Errorf("x: %w", app.ErrNotRecovered), exitVerdict, "[not-recoverable]"},
		{fmt.Errorf("open: %w", repository.ErrPassphrase), exitRepository, "[wrong-passphrase]"},
		{fmt.Errorf("open: %w", repository.ErrUnreachable), exitRepository, "next: check the location"},
		{fmt.Errorf("x: %w", context.Canceled), exitCancelled, "[cancelled]"},
	} {
		var stderr bytes.Buffer
		if got := exitCode(c.err, &stderr, false); got != c.want || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%v: exit code %d, want %d; said %q", c.err, got, c.want, stderr.String())
		}
	}
}
