package web

import "github.com/refloat-db/refloat/internal/server/web/component"

// saidInRoom is what acts in incidents, on alerts and for those on call lead on
// with; empty for a code that is none of theirs.
func saidInRoom(code string) (string, component.Tone) {
	switch code {
	default:
		return "", ""
	}
}
