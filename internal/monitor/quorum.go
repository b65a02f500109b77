package monitor

import "github.com/refloat-db/refloat/internal/target"

// Vote is what another node sees of a target at the same time.
type Vote struct {
	Node string
	// Sees is Blind where the node cannot tell: it does not answer, watches
	// another server under that name, or cannot look.
	Sees target.Sees
}

// PathMatters reports kinds of trouble that may lie between us and the server.
// All others are what the server itself has told.
func PathMatters(s target.Sees) bool {
	switch s {
	case target.Broken, target.Refused, target.Unreachable, target.Silent, target.Denied:
		return true
	}
	return false
}

// HereOnly decides whether trouble that this node sees is its own: others are
// served, and those who see it too are fewer, or nobody but us. Where nobody can
// tell, or as many see it as not, it is an outage.
func HereOnly(votes []Vote) bool {
	serves, not := 0, 1 // us
	for _, v := range votes {
		switch v.Sees {
		case target.Blind:
		case target.Serving:
			serves++
		default:
			not++
		}
	}
	return serves > 0 && (not == 1 || serves > not)
}

// Served names the nodes that are served.
func Served(votes []Vote) []string {
	var out []string
	for _, v := range votes {
		if v.Sees == target.Serving {
			out = append(out, v.Node)
		}
	}
	return out
}
