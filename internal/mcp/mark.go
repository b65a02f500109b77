package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Limits of an answer.
const (
	maxAnswer = 400 << 10 // bytes
	maxText   = 4000      // characters of one text
)

// errTooMuch asks for less rather than cut an answer where nobody sees it.
var errTooMuch = errors.New("the answer is too large: ask for less, with limit, target or after")

// written says whether a field of this name holds words that people or other
// systems wrote.
func written(name string) bool {
	switch name {
	case "title", "text", "subject", "summary", "detail", "reason", "why", "next", "note", "result", "said", "error", "evidence", "outcome", "despite", "source_text",
		"message", "warning", "note_text", "fix", "what", "outside":
		return true
	}
	return false
}

// whole says whether everything below a field of this name was written by others:
// bodies of entries, labels.
func whole(name string) bool { return name == "body" || name == "labels" || name == "missing" }

// mark is a value as JSON has it, in which each text that others wrote stands in
// an object of its own, so that it is not taken for anything but data.
func mark(v any) (any, error) {
	raw, err := json.Marshal(map[string]any{"data": v})
	if err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	tree = marked(tree, "", false)
	if raw, err = json.Marshal(tree); err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	if len(raw) > maxAnswer {
		return nil, errTooMuch
	}
	return tree, nil
}

func marked(v any, name string, below bool) any {
	switch x := v.(type) {
	case map[string]any:
		for k, child := range x {
			x[k] = marked(child, k, below || whole(k))
		}
	case []any:
		for i, child := range x {
			x[i] = marked(child, name, below)
		}
	case string:
		if x == "" || !below && !written(name) {
			return clean(x)
		}
		return map[string]any{"recorded_text": clean(x)}
	}
	return v
}

// clean takes out of a text what a person would not see, and bounds it.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0100 && r <= 0xe01ef:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText]) + " [cut: " + fmt.Sprint(len(r)-maxText) + " more characters]"
	}
	return s
}
