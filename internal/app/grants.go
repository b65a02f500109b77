package app

import (
	"cmp"
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/store/pgstore"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// GrantsRequest says for whom grants are printed.
type GrantsRequest struct {
	DSN       string // may be empty, and need not be reachable yet
	Role      string // default the DSN's, or refloat
	Database  string // default the DSN's, or postgres
	Address   string // where Refloat connects from, as pg_hba.conf writes it
	ReadFiles bool
	SQLOnly   bool // the role and its rights, and neither settings nor pg_hba.conf
}

// StoreGrants is a script for psql that makes role, database and schema of a
// store that several nodes share.
func StoreGrants(r GrantsRequest) string {
	u, err := url.Parse(r.DSN)
	if err != nil {
		u = &url.URL{}
	}
	return pgstore.Grants(cmp.Or(r.Role, u.User.Username(), "refloat_store"), cmp.Or(r.Database, strings.TrimPrefix(u.Path, "/"), "refloat"), r.Address)
}

// Grants is a script for psql that makes a role that may do what Refloat needs
// and no more. It can be run again without harm.
func Grants(ctx context.Context, r GrantsRequest) string {
	u, err := url.Parse(r.DSN)
	if err != nil {
		u = &url.URL{}
	}
	if r.Role == "" {
		r.Role = u.User.Username()
	}
	if r.Role == "" {
		r.Role = "refloat"
	}
	if r.Database == "" {
		r.Database = strings.TrimPrefix(u.Path, "/")
	}
	if r.Database == "" {
		r.Database = "postgres"
	}
	var server target.Server // zero where the server cannot be asked yet
	if c, err := postgres.New(postgres.Options{DSN: r.DSN, Application: "refloat init"}); err == nil && r.DSN != "" {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if s, err := c.Inspect(ctx); err == nil {
			server = s
		}
	}
	all := postgres.Grants(r.Role, r.Database, server.Version, postgres.GrantOptions{
		Heartbeat: true, ReadFiles: r.ReadFiles, Address: r.Address, Settings: server.Settings, KeepSize: "12GB",
	})
	if !r.SQLOnly {
		return postgres.RenderGrants(r.Role, r.Database, all)
	}
	var b strings.Builder
	for _, g := range all {
		if g.SQL != "" && !strings.HasPrefix(g.SQL, "ALTER SYSTEM") && !strings.Contains(g.SQL, "pg_reload_conf") {
			b.WriteString("-- " + g.Why + "\n" + g.SQL + "\n")
		}
	}
	return b.String()
}
