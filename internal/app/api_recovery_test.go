package app

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/recovery"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
)

// A way back is looked at, chosen, confirmed and given up over the API; who chose
// it is not the second person, and a token that is nobody's hand is none either.
func TestAPIGuidesARecovery(t *testing.T) {
	o := twoTeamsOptions(t)
	o.WaysBack = New(config.Config{StateDir: o.StateDir, Targets: map[string]config.Target{"shop": {DSN: "host=/nowhere", Recovery: config.Recovery{
		Restart: "false", RestartWords: []string{"false"}, Timeout: config.Duration(20 * time.Second),
	}}}, Repository: config.Repository{URL: "file:///nowhere/at/all", Passphrase: secret.New("a passphrase for tests, long enough")}}, slog.New(slog.DiscardHandler))
	d := deskOver(t, o)
	s := apiOver(t, d, apiPeople)
	ask := func(who, method, path, body string, code int) answered {
		t.Helper()
		got := askAPI(t, s, who, method, path, body, "Idempotency-Key", "key-of-"+who+strings.ReplaceAll(path, "/", "-")+newID())
		if got.code != code {
			t.Fatalf("%s %s: %d, want %d: %s", method, path, got.code, code, got.body)
		}
		if code >= 400 {
			got.problem(t)
		}
		return got
	}
	ask("ada", "POST", "/incidents", `{"title":"shop is down","target":"shop"}`, 201)
	var offer server.RecoveryOffer
	if err := json.Unmarshal([]byte(ask("ada", "GET", "/incidents/1/recovery?reason=crash", "", 200).body), &offer); err != nil {
		t.Fatal(err)
	}
	if w := recovery.Find(offer.Ways, recovery.Restart); offer.Target != "shop" || len(offer.Cards) == 0 || !w.Possible() {
		t.Fatalf("%+v", offer)
	}
	if got := askAPI(t, s, "cyd", "GET", "/incidents/1/recovery", ""); got.code != 403 {
		t.Errorf("%+v", got)
	}
	ask("bob", "GET", "/incidents/1/recovery", "", 404)
	ask("ada", "POST", "/incidents/1/recovery", `{"way":"pray"}`, 422)
	ask("ada", "GET", "/incidents/1/recovery?reason=gremlins", "", 409)
	chosen := `{"way":"restart","reason":"crash"}`
	ask("ada", "POST", "/incidents/1/recovery", chosen, 200)
	ask("ada", "POST", "/incidents/1/recovery", chosen, 409) // one at a time
	ask("ada", "POST", "/incidents/1/recovery/r1/continue", "", 409)
	ask("ada", "POST", "/incidents/1/recovery/r1/done", `{"step":"restart"}`, 409)
	for _, typed := range []string{`{}`, `{"typed":"books"}`} {
		if got := ask("ada", "POST", "/incidents/1/recovery/r1/confirm", typed, 409); !strings.Contains(got.body, "name of the target") {
			t.Error(got.body)
		}
	}
	if v := d.follow.incident("inc-1"); !v.Recoveries[0].ConfirmedAt.IsZero() {
		t.Fatal("it was confirmed")
	}
	var v server.IncidentView
	if err := json.Unmarshal([]byte(ask("root", "POST", "/incidents/1/recovery/r1/confirm", `{}`, 200).body), &v); err != nil {
		t.Fatal(err)
	}
	if r := v.Recoveries[0]; r.ChosenBy != "ada" || r.ConfirmedBy != "root" || r.Confirmed != "second person" {
		t.Errorf("%+v", r)
	}
	eventually(t, "a step to fail: the command is false", func() bool {
		d.follow.catchUp(t.Context())
		for _, p := range d.follow.incident("inc-1").Recoveries[0].Progress {
			if p.Error != "" {
				return true
			}
		}
		return false
	})
	ask("ada", "POST", "/incidents/1/recovery/r1/abandon", `{"why":""}`, 422)
	ask("ada", "POST", "/incidents/1/recovery/r1/abandon", `{"why":"another way"}`, 200)
	if v := d.follow.incident("inc-1"); !v.Recoveries[0].Over() {
		t.Errorf("%+v", v.Recoveries[0])
	}
}
