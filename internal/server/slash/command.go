package slash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/server"
)

// Command is what somebody asks for.
type Command struct {
	Verb string // one of those in Help; help for none
	ID   string // of an incident or an alert, or a target's name
	Word string // a role, or an audience
	Text string
}

// Help lists the commands.
const Help = `status [TARGET]: how targets stand
incident [ID]: incidents that are open, or what to know of one in 30 seconds
ack ALERT: take an alert on
note ID TEXT: write something down for responders
role ID commander|communications|operations|scribe: take a role
update ID responders|teams|clients: draft an update; it is sent from the console or with refloat incident update
oncall: who is on call`

// errUsage is a command that is not understood; the message says how it goes.
var errUsage = errors.New("not understood")

func usage(form string) error {
	return fmt.Errorf("%w: it goes like this: %s", errUsage, form)
}

// Parse reads the text after the slash command.
func Parse(text string) (Command, error) {
	verb, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	c := Command{Verb: strings.ToLower(verb)}
	words := strings.Fields(rest)
	switch c.Verb {
	case "", "help":
		return Command{Verb: "help"}, nil
	case "oncall":
		return c, nil
	case "status", "incident", "incidents":
		c.Verb = strings.TrimSuffix(c.Verb, "s")
		if c.Verb == "statu" {
			c.Verb = "status"
		}
		if len(words) > 1 {
			return c, usage(c.Verb + " [NAME]")
		}
		if len(words) == 1 {
			c.ID = words[0]
		}
	case "ack":
		if len(words) != 1 {
			return c, usage("ack ALERT")
		}
		c.ID = words[0]
	case "note":
		id, note, _ := strings.Cut(rest, " ")
		c.ID, c.Text = id, strings.TrimSpace(note)
		if c.ID == "" || c.Text == "" {
			return c, usage("note ID TEXT")
		}
	case "role":
		if len(words) != 2 || !slices.Contains(incident.Roles(), incident.Role(strings.ToLower(words[1]))) {
			return c, usage("role ID commander, or communications, operations or scribe")
		}
		c.ID, c.Word = words[0], strings.ToLower(words[1])
	case "update":
		if len(words) != 2 || !slices.Contains(incident.Audiences(), incident.Audience(strings.ToLower(words[1]))) {
			return c, usage("update ID responders, or teams or clients")
		}
		c.ID, c.Word = words[0], strings.ToLower(words[1])
	default:
		return c, fmt.Errorf("%w; there are:\n%s", errUsage, Help)
	}
	if c.ID != "" && (c.Verb == "incident" || c.Verb == "note" || c.Verb == "role" || c.Verb == "update") {
		if n, err := strconv.Atoi(c.ID); err == nil && n > 0 {
			c.ID = "inc-" + strconv.Itoa(n)
		}
	}
	return c, nil
}

// run does a command as a chat user, and says what came of it.
func (h *Handler) run(ctx context.Context, d Door, user, text string) string {
	who, err := h.who(ctx, d, user)
	if err != nil {
		return h.failed(ctx, err)
	}
	if !who.Known() {
		return fmt.Sprintf("You are not among the people of this Refloat. Whoever keeps it can add your user ID, %s, under chat.slash in refloat.yaml.", user)
	}
	c, err := Parse(text)
	if err != nil {
		return err.Error()
	}
	out, err := h.do(ctx, who, c)
	if err != nil {
		return h.failed(ctx, err)
	}
	return out
}

// who is a chat user.
func (h *Handler) who(ctx context.Context, d Door, user string) (access.Principal, error) {
	if person := d.People[user]; person != "" && user != "" {
		return h.o.Principal(ctx, person)
	}
	if d.OthersRead && user != "" {
		return access.Principal{Kind: access.Token, ID: "slash-" + d.Name, Name: "chat user " + user, Everywhere: access.Viewer, Limit: access.Viewer}, nil
	}
	return access.Principal{}, nil
}

// failed is an error as the one who asked is told it.
func (h *Handler) failed(ctx context.Context, err error) string {
	for _, known := range []error{server.ErrForbidden, server.ErrNotFound, server.ErrRefused, incident.ErrRefused, incident.ErrNone} {
		if errors.Is(err, known) {
			return "Not done: " + err.Error()
		}
	}
	if errors.Is(err, incident.ErrNothing) {
		return "Nothing to do: " + err.Error()
	}
	h.o.Logger.ErrorContext(ctx, "do a slash command", "error", err)
	if ctx.Err() != nil {
		return "It takes too long to wait here. Look whether it was done (incident ID, status) before you ask again."
	}
	return "It could not be done: the server's log says why."
}

func (h *Handler) do(ctx context.Context, who access.Principal, c Command) (string, error) {
	desk := h.o.Desk
	switch c.Verb {
	case "status":
		return h.status(ctx, who, c.ID)
	case "incident":
		return h.incident(ctx, who, c.ID)
	case "oncall":
		return h.onCall(ctx, who)
	case "ack":
		a, err := desk.Acknowledge(ctx, who, c.ID)
		if err != nil {
			return "", err
		}
		if a.AcknowledgedAt.IsZero() {
			return fmt.Sprintf("%s is %s: there is nothing to take on.", a.ID, a.State), nil
		}
		return fmt.Sprintf("%s: acknowledged by %s. %s", a.ID, a.AcknowledgedBy, a.Signal.Summary), nil
	case "note":
		v, err := desk.Act(ctx, who, c.ID, incident.AddNote{Text: c.Text})
		return v.ID + ": the note is kept.", err
	case "role":
		v, err := desk.Act(ctx, who, c.ID, incident.TakeRole{Role: incident.Role(c.Word)})
		return fmt.Sprintf("%s: %s is %s.", v.ID, v.Roles[incident.Role(c.Word)].Person, c.Word), err
	case "update":
		d, err := desk.Draft(ctx, who, c.ID, incident.Audience(c.Word))
		return fmt.Sprintf("A draft for %s, sent to nobody yet:\n\n%s\n%s\nSend it from the console, or: refloat incident update %s --audience %s --send", c.Word, d.Subject, d.Text, c.ID, c.Word), err
	}
	return Help, nil
}

func (h *Handler) status(ctx context.Context, who access.Principal, target string) (string, error) {
	b, err := h.o.Desk.Board(ctx, who)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	shown := 0
	for _, t := range b.Targets {
		if target != "" && string(t.Target) != target {
			continue
		}
		if shown++; shown > 20 {
			continue
		}
		fmt.Fprintf(&out, "%s: %s; grade %s", t.Target, t.Headline, t.Grade.Letter)
		if t.Watch != nil && t.Watch.State != "up" {
			fmt.Fprintf(&out, "; %s %s", t.Watch.State, t.Watch.Reason)
		}
		out.WriteString("\n")
		if target != "" {
			for _, p := range t.Problems {
				fmt.Fprintf(&out, "  %s: %s\n", p.Severity, p.Detail)
			}
		}
	}
	switch {
	case shown == 0 && target != "":
		return "", fmt.Errorf("%w: there is no target %s", server.ErrNotFound, target)
	case shown == 0:
		return "There is no target that you may see.", nil
	case shown > 20:
		fmt.Fprintf(&out, "and %d more, that stand better\n", shown-20)
	}
	return out.String(), nil
}

func (h *Handler) incident(ctx context.Context, who access.Principal, id string) (string, error) {
	if id != "" {
		v, err := h.o.Desk.Incident(ctx, who, id)
		return fmt.Sprintf("%s %s %s: %s\n%s", v.ID, v.Severity, v.Status, v.Title, strings.Join(v.Summary, "\n")), err
	}
	all, err := h.o.Desk.Incidents(ctx, who, server.IncidentQuery{Limit: 20})
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "No incident is open.", nil
	}
	var out strings.Builder
	for _, v := range all {
		commander := v.Roles[incident.Commander].Person
		if commander == "" {
			commander = "nobody"
		}
		fmt.Fprintf(&out, "%s %s %s since %s, commander %s: %s\n", v.ID, v.Severity, v.Status, v.Started.UTC().Format("15:04 UTC"), commander, v.Title)
	}
	return out.String(), nil
}

func (h *Handler) onCall(ctx context.Context, who access.Principal) (string, error) {
	now := h.o.Now()
	on, err := h.o.Desk.OnCall(ctx, who, now, now.Add(time.Hour))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, t := range on.Teams {
		var names []string
		for _, s := range t.Now {
			names = append(names, fmt.Sprintf("%s until %s", on.Names[s.Person], s.Until.UTC().Format("Mon 15:04 UTC")))
		}
		if len(names) == 0 {
			names = []string{"NOBODY"}
		}
		fmt.Fprintf(&out, "%s: %s\n", t.Team, strings.Join(names, ", "))
	}
	if out.Len() == 0 {
		return "There is no team that you may see.", nil
	}
	return out.String(), nil
}
