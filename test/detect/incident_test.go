package detect

import (
	"encoding/json"
	"time"

	"github.com/refloat-db/refloat/internal/incident"
)

// incidents are those that the program has opened so far.
func (h *house) incidents() []incident.State {
	h.t.Helper()
	out, _ := h.command("incident", "list", "--all", "--json").Output() // its exit code says whether one is open
	var all []incident.State
	if err := json.Unmarshal(out, &all); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	return all
}

// story waits until there is one incident that is as it should be.
func (h *house) story(what string, ok func(incident.State) bool) {
	h.t.Helper()
	var all []incident.State
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if all = h.incidents(); len(all) == 1 && ok(all[0]) {
			return
		}
	}
	h.t.Errorf("never was there one incident with %s: %+v", what, all)
}
