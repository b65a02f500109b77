package audit

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// shellCall is one command that a shell would run, without what only wraps it.
type shellCall struct {
	Name string // without its directory
	Args []string
	Out  string // where its output is written to, "" when not to a file
	Over bool   // Out is cut before it is written
}

// shellReading is what can be told of a shell command without running it.
type shellReading struct {
	Work      []shellCall // what does something that can fail, in order
	Swallowed []swallowed // of Work, those whose failure the exit status may not show
	Guarded   bool        // it asks whether a file is there, or refuses to overwrite one
}

type swallowed struct {
	call string
	how  string
}

// readShell reads a command as a shell would, and follows how a failure of each
// part reaches the exit status. An error means that no shell would run it.
func readShell(command string) (shellReading, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		return shellReading{}, err
	}
	var out shellReading
	r := shellReader{out: &out}
	r.stmts(file.Stmts)
	return out, nil
}

// shellReader walks a command. errexit and pipefail are as `set` left them.
type shellReader struct {
	out      *shellReading
	errexit  bool
	pipefail bool
}

// shellStatus is what decides a part's exit status.
type shellStatus struct {
	live []string // calls whose failure makes it fail
	zero bool     // it is 0, whatever happens
}

func (r *shellReader) swallow(calls []string, how string) {
	for _, c := range calls {
		r.out.Swallowed = append(r.out.Swallowed, swallowed{call: c, how: how})
	}
}

func (r *shellReader) stmts(list []*syntax.Stmt) shellStatus {
	var kept []string
	for i, st := range list {
		s := r.stmt(st)
		switch {
		case i == len(list)-1:
			return shellStatus{live: append(kept, s.live...), zero: s.zero && len(kept) == 0}
		case r.errexit, asksStatus(list[i+1]):
			kept = append(kept, s.live...)
		default:
			r.swallow(s.live, "another command follows it, whose status counts")
		}
	}
	return shellStatus{zero: true}
}

func (r *shellReader) stmt(st *syntax.Stmt) shellStatus {
	s := r.command(st)
	switch {
	case st.Background:
		r.swallow(s.live, "it runs in the background")
		return shellStatus{zero: true}
	case st.Negated:
		r.swallow(s.live, "its status is inverted by !")
		return shellStatus{}
	}
	return s
}

func (r *shellReader) command(st *syntax.Stmt) shellStatus {
	switch c := st.Cmd.(type) {
	case *syntax.CallExpr:
		return r.call(c, st.Redirs)
	case *syntax.BinaryCmd:
		return r.binary(c)
	case *syntax.Subshell:
		inner := *r
		return inner.stmts(c.Stmts)
	case *syntax.Block:
		return r.stmts(c.Stmts)
	case *syntax.IfClause:
		return r.ifClause(c)
	case *syntax.TimeClause:
		if c.Stmt != nil {
			return r.stmt(c.Stmt)
		}
	case *syntax.TestClause:
		r.out.Guarded = true
	case *syntax.ForClause:
		return shellStatus{live: r.stmts(c.Do).live}
	case *syntax.WhileClause:
		return shellStatus{live: r.stmts(c.Do).live}
	case *syntax.CaseClause:
		var s shellStatus
		for _, item := range c.Items {
			s.live = append(s.live, r.stmts(item.Stmts).live...)
		}
		return s
	}
	return shellStatus{}
}

func (r *shellReader) binary(c *syntax.BinaryCmd) shellStatus {
	x := r.stmt(c.X)
	switch c.Op {
	case syntax.AndStmt:
		y := r.stmt(c.Y)
		return shellStatus{live: append(x.live, y.live...), zero: x.zero && y.zero}
	case syntax.OrStmt:
		y := r.stmt(c.Y)
		if y.zero {
			r.swallow(x.live, "what follows || succeeds always")
			return shellStatus{zero: true}
		}
		return shellStatus{live: append(x.live, y.live...), zero: x.zero}
	default: // a pipe
		if !r.pipefail {
			r.swallow(x.live, "only the last command of a pipe counts")
			x = shellStatus{zero: true}
		}
		y := r.stmt(c.Y)
		return shellStatus{live: append(x.live, y.live...), zero: x.zero && y.zero}
	}
}

// ifClause: without an else, a condition that fails leaves the status 0.
func (r *shellReader) ifClause(c *syntax.IfClause) shellStatus {
	cond := shellStatus{}
	if len(c.Cond) > 0 { // the last else has none
		cond = r.stmts(c.Cond)
	}
	then := r.stmts(c.Then)
	if len(c.Cond) == 0 {
		return then
	}
	otherwise := shellStatus{zero: true}
	if c.Else != nil {
		otherwise = r.ifClause(c.Else)
	}
	s := shellStatus{live: append(then.live, otherwise.live...), zero: then.zero && otherwise.zero}
	if otherwise.zero {
		r.swallow(cond.live, "the if goes on without it")
	} else {
		s.live = append(cond.live, s.live...)
	}
	return s
}

func (r *shellReader) call(c *syntax.CallExpr, redirs []*syntax.Redirect) shellStatus {
	words := make([]string, len(c.Args))
	for i, w := range c.Args {
		words[i] = wordText(w)
	}
	words = unwrap(words)
	if len(words) == 0 {
		return shellStatus{zero: true}
	}
	call := shellCall{Name: path.Base(words[0]), Args: words[1:]}
	for _, to := range redirs {
		if to.N != nil && to.N.Value != "1" {
			continue
		}
		switch to.Op {
		case syntax.RdrOut, syntax.RdrClob, syntax.RdrAll, syntax.AppOut, syntax.AppAll:
			call.Out, call.Over = wordText(to.Word), to.Op != syntax.AppOut && to.Op != syntax.AppAll
		}
	}
	if s, done := r.builtin(call); done {
		return s
	}
	r.out.Work = append(r.out.Work, call)
	return shellStatus{live: []string{call.Name}}
}

// builtin knows what is no work: what only decides, says, prepares or wraps.
func (r *shellReader) builtin(call shellCall) (shellStatus, bool) {
	switch call.Name {
	case "true", ":", "echo", "printf", "logger", "date", "mail", "mailx", "sendmail", "wall", "sleep", "umask", "export", "trap":
		return shellStatus{zero: true}, true
	case "exit", "return":
		return shellStatus{zero: len(call.Args) == 1 && call.Args[0] == "0"}, true
	case "false", "mkdir", "rm", "touch", "chmod", "chown", "cd", "sync":
		return shellStatus{}, true
	case "test", "[":
		if slices.ContainsFunc(call.Args, func(a string) bool { return a == "-e" || a == "-f" || a == "-s" }) {
			r.out.Guarded = true
		}
		return shellStatus{}, true
	case "set":
		r.set(call.Args)
		return shellStatus{zero: true}, true
	case "eval":
		return r.within(*r, strings.Join(call.Args, " ")), true
	case "sh", "bash", "dash", "ksh", "zsh":
		for i, a := range call.Args {
			if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.HasSuffix(a, "c") && i+1 < len(call.Args) {
				inner := shellReader{out: r.out}
				inner.set(append(slices.Clone(call.Args[:i]), strings.TrimSuffix(a, "c")))
				return r.within(inner, call.Args[i+1]), true
			}
		}
	}
	return shellStatus{}, false
}

// within reads a command that is a word of another.
func (r *shellReader) within(inner shellReader, command string) shellStatus {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		r.out.Work = append(r.out.Work, shellCall{Name: "sh", Args: []string{"-c", command}})
		return shellStatus{live: []string{"sh"}}
	}
	return inner.stmts(file.Stmts)
}

func (r *shellReader) set(args []string) {
	for i, a := range args {
		switch {
		case a == "pipefail" && i > 0 && strings.HasSuffix(args[i-1], "o"):
			r.pipefail = strings.HasPrefix(args[i-1], "-")
		case a == "errexit" && i > 0 && strings.HasSuffix(args[i-1], "o"):
			r.errexit = strings.HasPrefix(args[i-1], "-")
		case a == "noclobber" && i > 0 && args[i-1] == "-o", strings.HasPrefix(a, "-") && strings.Contains(a, "C"):
			r.out.Guarded = true
		}
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, "e") {
			r.errexit = true
		}
	}
}

// asksStatus reports whether a statement looks at the status of the one before.
func asksStatus(st *syntax.Stmt) (asks bool) {
	syntax.Walk(st, func(n syntax.Node) bool {
		if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil && p.Param.Value == "?" {
			asks = true
		}
		return !asks
	})
	if c, ok := st.Cmd.(*syntax.CallExpr); ok && len(c.Args) == 1 && wordText(c.Args[0]) == "exit" {
		return true
	}
	return asks
}

// unwrap leaves out commands that run another one and give its status on.
func unwrap(words []string) []string {
	for len(words) > 1 {
		flags := 0
		switch path.Base(words[0]) {
		case "exec", "nohup", "command", "time", "nice", "ionice", "env", "sudo", "setsid", "chrt":
		case "timeout", "envdir", "flock":
			flags = 1 // and one word of its own
		default:
			return words
		}
		words = words[1:]
		for len(words) > 1 && (strings.HasPrefix(words[0], "-") || strings.Contains(words[0], "=") || isNumber(words[0])) && (flags == 0 || strings.HasPrefix(words[0], "-")) {
			takesValue := slices.Contains([]string{"-n", "-c", "-u", "-k", "-s", "-g", "-w"}, words[0])
			words = words[1:]
			if takesValue && len(words) > 1 {
				words = words[1:]
			}
		}
		if flags == 1 && len(words) > 1 {
			words = words[1:]
		}
	}
	return words
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// wordText is a word without its quotes; what the shell would put in stays as
// it is written.
func wordText(w *syntax.Word) string {
	if w == nil {
		return ""
	}
	return partsText(w.Parts)
}

func partsText(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.Lit:
			b.WriteString(strings.ReplaceAll(p.Value, `\`, ""))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			b.WriteString(partsText(p.Parts))
		default:
			_ = syntax.NewPrinter().Print(&b, p) // to memory, of what was parsed
		}
	}
	return b.String()
}
