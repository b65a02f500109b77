package web

import "github.com/refloat-db/refloat/internal/server/web/component"

// saidInRoom is what acts in incidents, on alerts and for those on call lead on
// with; empty for a code that is none of theirs.
func saidInRoom(code string) (string, component.Tone) {
	text := map[string]string{
		"opened": "The incident is open.", "role": "The roles are as you see them below.", "status": "The status is set.", "severity": "The severity is set.",
		"note": "The note is in the record.", "task": "The task is added.", "task-done": "The task is closed.", "link": "The link is added.", "file": "The file is added.",
		"read": "It is noted that you have read it.", "resolved": "The incident is resolved.", "reopened": "The incident is open again.", "merged": "The other incident was merged into this one.",
		"loss": "The data loss is written down.", "sent": "The update is published, and on its way.",
		"chosen": "The way back is chosen. It begins when it is confirmed.", "recovering": "It goes on; each step is written down here.", "given-up": "That way back is given up.",
		"action-added": "The action item is added.", "action-note": "The note is written down.", "action-closed": "The action item is done.", "action-dropped": "The action item is dropped.", "action-reopened": "The action item is open again.",
		"action-changed": "The change is written down.", "action-bound": "The check is bound: it closes the action item when it passes.", "action-unbound": "The check is taken away.", "action-linked": "The link is added.",
		"acknowledged": "The alert is acknowledged: nobody else is paged for it.", "silenced": "It is silent for that long.", "silence-ended": "The silence has ended.", "tested": "The test page was taken over by every contact.",
	}[code]
	if text == "" {
		return "", ""
	}
	return text, component.Good
}
