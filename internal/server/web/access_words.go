package web

import (
	"slices"
	"strings"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

func inOrder(all []string) []string {
	slices.Sort(all)
	return all
}

func accessWords(r access.Role) string {
	switch r {
	case access.Viewer:
		return "viewer: sees"
	case access.Responder:
		return "responder: works in incidents, acknowledges, asks for backups and drills"
	case access.Admin:
		return "admin: gives access and changes what is configured here"
	}
	return "nothing"
}

func howSignsIn(a access.Account) string {
	var all []string
	if a.Password != "" {
		all = append(all, "with a password")
	}
	if a.Provider {
		all = append(all, "through the identity provider")
	}
	if len(all) == 0 {
		return "not yet: no password is set"
	}
	return strings.Join(all, ", or ")
}

func passName(p access.Pass) string {
	switch {
	case p.Name != "":
		return p.Name
	case p.Kind == access.Session:
		return "A browser that does not say what it is"
	}
	return p.ID
}

func limitWords(p access.Pass) string {
	if len(p.Teams) == 0 {
		return string(p.Limit)
	}
	return string(p.Limit) + " of " + strings.Join(p.Teams, ", ")
}

func roleOptions(roles []access.Role, none string) []component.Option {
	var out []component.Option
	if none != "" {
		out = append(out, component.Option{Text: none})
	}
	for _, r := range roles {
		out = append(out, component.Option{Value: string(r), Text: string(r)})
	}
	return out
}

func teamOptions(teams []string) []component.Option {
	out := []component.Option{{Text: "all of mine"}}
	for _, t := range teams {
		out = append(out, component.Option{Value: t, Text: t})
	}
	return out
}

func passColumns(tokens bool) []component.Column {
	if tokens {
		return component.Columns("For", "May", "Last used", "Made", "Ends", "Revoke")
	}
	return component.Columns("Browser", "Last used", "Made", "Ends", "Revoke")
}

func peopleColumns() []component.Column {
	return component.Columns("Name", "Roles", "Signs in", "#Tokens", "Last seen")
}
