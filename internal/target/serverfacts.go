package target

// ServerFacts is what an audit looks at on a live server: the inspection, and
// what only an audit asks. Each part says for itself why it is not known.
type ServerFacts struct {
	Server   Server             `json:"server"`
	Settings map[string]Setting `json:"settings"` // by name; only those that the role may see
}

// Setting is one row of pg_settings.
type Setting struct {
	Value          string `json:"value"`
	Unit           string `json:"unit,omitempty"`
	Source         string `json:"source"`          // default, configuration file, command line …
	File           string `json:"file,omitempty"`  // where it is set, when the role may see that
	Line           int    `json:"line,omitempty"`  // in File
	PendingRestart bool   `json:"pending_restart"` // the file says something else since the start
}
