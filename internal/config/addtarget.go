package config

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// targetsLine is the key of the block that targets are in.
var targetsLine = regexp.MustCompile(`(?m)^targets:[ \t]*(#.*)?$`)

// AddTarget puts one more target into a configuration's text, before the
// others, and changes nothing else: comments and order stay. block is the
// target's YAML, indented by two. The outcome is read back, and is refused when
// anything that was there before would read otherwise.
func AddTarget(file string, text []byte, name, block string, env func(string) (string, bool)) ([]byte, error) {
	before, err := Parse(file, text, env)
	if err != nil {
		return nil, err
	}
	if _, there := before.Targets[name]; there {
		return nil, fmt.Errorf("%s has a target %s already; give this one another name", file, name)
	}
	at := targetsLine.FindIndex(text)
	if at == nil {
		return nil, fmt.Errorf("%s has no line that reads \"targets:\" and nothing else; put the target in by hand", file)
	}
	head, tail := text[:at[1]], text[at[1]:]
	out := joined(head, "\n", indented(block, indentOf(tail)), strings.TrimPrefix(string(tail), "\n"))
	after, err := Parse(file, out, env)
	if err != nil {
		return nil, fmt.Errorf("with target %s added, the configuration is not good: %w", name, err)
	}
	if _, there := after.Targets[name]; !there {
		return nil, fmt.Errorf("target %s cannot be put into %s; put it in by hand", name, file)
	}
	delete(after.Targets, name)
	if len(before.Targets) == 0 {
		before.Targets, after.Targets = nil, nil
	}
	if !reflect.DeepEqual(before, after) {
		return nil, fmt.Errorf("target %s cannot be put into %s without changing the rest; put it in by hand", name, file)
	}
	return out, nil
}

func joined(head []byte, rest ...string) []byte {
	return append(bytes.Clone(head), strings.Join(rest, "")...)
}

// indentOf is how far the first entry that follows is indented.
func indentOf(tail []byte) string {
	for line := range strings.SplitSeq(string(tail), "\n") {
		body := strings.TrimLeft(line, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		if n := len(line) - len(body); n > 0 {
			return line[:n]
		}
		break
	}
	return "  "
}

// indented moves a block that is indented by two.
func indented(block, by string) string {
	lines := strings.SplitAfter(block, "\n")
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, "  "); ok {
			lines[i] = by + rest
		}
	}
	return strings.Join(lines, "")
}
