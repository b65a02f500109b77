package web

import (
	"net/url"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/server/web/component"
)

func escape(s string) string { return url.QueryEscape(s) }

func escapePath(s string) string { return url.PathEscape(s) }

// link is a path with those of the values that are not empty: name, value, ….
func link(path string, pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// toggled is the choice after a click on one: none when it was chosen.
func toggled(chosen, clicked string) string {
	if chosen == clicked {
		return ""
	}
	return clicked
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// stands is what a tone means of a target.
func stands(t component.Tone) string {
	switch t {
	case component.Good:
		return "proven"
	case component.Bad:
		return "not well"
	}
	return "uncertain"
}

func alertTone(s alert.Severity) component.Tone {
	switch s {
	case alert.Critical, alert.High:
		return component.Bad
	case alert.Medium:
		return component.Warn
	}
	return component.Quiet
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
