package app

import (
	"strings"

	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/rest"
)

// DescribeAPI is the OpenAPI description of the HTTP API, as JSON.
func DescribeAPI() ([]byte, error) {
	return rest.New(rest.Options{Version: Version}).Description()
}

// explainShort is an error's stable code and what to do next; empty for one that
// nobody foresaw.
func explainShort(err error) (code, next string) {
	e := Explain(err)
	if e.Code == "failed" {
		return "", ""
	}
	return e.Code, e.Next
}

// apiRoutes are the HTTP API over the node's desk.
func (n *node) apiRoutes() []server.Route {
	return rest.New(rest.Options{Desk: n.desk, Calls: n.state, Version: n.o.Version, Logger: n.log, Explain: explainShort, Redact: redactor(n.o.Secrets)}).Routes()
}

// redactor takes secrets out of a text.
func redactor(secrets []secret.Value) func(string) string {
	var pairs []string
	for _, v := range secrets {
		if len(v.Reveal()) >= 4 { // shorter ones would garble everything
			pairs = append(pairs, v.Reveal(), v.String())
		}
	}
	return strings.NewReplacer(pairs...).Replace
}
