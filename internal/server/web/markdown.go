package web

import (
	"bytes"
	"fmt"

	"github.com/a-h/templ"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// markdown makes a part of a page from Markdown that others may have written:
// HTML in it is left out, links lead to web pages only, and pictures become links.
// Its headings begin below those of the page.
func markdown(source string) (templ.Component, error) {
	m := goldmark.New(
		goldmark.WithExtensions(extension.Table, extension.Strikethrough),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(tame{}, 1))),
		goldmark.WithRendererOptions(html.WithXHTML()), // not WithUnsafe: raw HTML is left out
	)
	var b bytes.Buffer
	if err := m.Convert([]byte(source), &b); err != nil {
		return nil, fmt.Errorf("read the Markdown: %w", err)
	}
	return templ.Raw(b.String()), nil
}

// tame changes a document so that it fits into a page and loads nothing.
type tame struct{}

// Transform implements parser.ASTTransformer.
func (tame) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	var pictures []*ast.Image
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function never fails
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			n.Level = min(6, n.Level+2)
		case *ast.Image:
			pictures = append(pictures, n)
		case *ast.Link:
			n.SetAttributeString("rel", []byte("noopener noreferrer"))
		}
		return ast.WalkContinue, nil
	})
	for _, p := range pictures {
		link := ast.NewLink()
		link.Destination = p.Destination
		link.SetAttributeString("rel", []byte("noopener noreferrer"))
		for c := p.FirstChild(); c != nil; c = p.FirstChild() {
			link.AppendChild(link, c)
		}
		p.Parent().ReplaceChild(p.Parent(), p, link)
	}
}
