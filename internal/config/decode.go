package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decoder fills the configuration from a YAML tree. It reports every mistake,
// each with its place and in words of ours.
type decoder struct {
	file string
	errs []*Error
}

func (d *decoder) fail(at *token.Token, format string, args ...any) {
	e := &Error{File: d.file, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if at != nil && at.Position != nil {
		e.Line, e.Column = at.Position.Line, at.Position.Column
	}
	d.errs = append(d.errs, e)
}

// parse reads text into c and returns the tree, for the places of later
// mistakes.
func (d *decoder) parse(text []byte, c *Config) *ast.File {
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) {
			d.fail(y.GetToken(), "not readable as YAML: %s", y.GetMessage())
		} else {
			d.fail(nil, "not readable as YAML: %v", err)
		}
		return nil
	}
	var docs []*ast.DocumentNode
	for _, doc := range tree.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			docs = append(docs, doc)
		}
	}
	switch {
	case len(docs) == 0:
		d.fail(nil, "the file is empty (make one with refloat init)")
		return tree
	case len(docs) > 1:
		d.fail(docs[1].Start, "more than one YAML document: remove this and what follows")
		return tree
	}
	d.value(docs[0].Body, reflect.ValueOf(c).Elem(), "the file")
	return tree
}

// value sets v from a node; name is what people call it.
func (d *decoder) value(n ast.Node, v reflect.Value, name string) {
	switch n := n.(type) {
	case nil:
		d.fail(nil, "%s has no value", name)
		return
	case *ast.NullNode:
		d.fail(n.GetToken(), "%s has no value: give one, or remove the key", name)
		return
	case *ast.TagNode:
		d.fail(n.GetToken(), "tags like %s are not understood here: write the value alone", n.GetToken().Value)
		return
	case *ast.AnchorNode, *ast.AliasNode:
		d.fail(n.GetToken(), "anchors and aliases are not understood here: write the value itself")
		return
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.scalar(n, v, name)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, name, func(key ast.MapKeyNode, value ast.Node) { d.field(key, value, v, name) })
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		d.mapping(n, name, func(key ast.MapKeyNode, value ast.Node) {
			each := reflect.New(v.Type().Elem()).Elem()
			switch t := each.Addr().Interface().(type) {
			case *Target:
				*t = defaultTarget()
			case *Policy:
				*t = defaultPolicy()
			}
			d.value(value, each, keyText(key))
			v.SetMapIndex(reflect.ValueOf(keyText(key)), each)
		})
	case reflect.Slice:
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			d.fail(n.GetToken(), "%s wants a list: one value a line, each after a hyphen", name)
			return
		}
		for _, item := range seq.Values {
			each := reflect.New(v.Type().Elem()).Elem()
			d.value(item, each, "an entry of "+name)
			v.Set(reflect.Append(v, each))
		}
	default:
		d.scalar(n, v, name)
	}
}

func keyText(k ast.MapKeyNode) string { return k.GetToken().Value }

func (d *decoder) mapping(n ast.Node, name string, each func(ast.MapKeyNode, ast.Node)) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.fail(n.GetToken(), "%s wants keys with values, one a line", name)
		return
	}
	for _, v := range values {
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			d.fail(v.Key.GetToken(), "anchors and aliases are not understood here: write the value itself")
			continue
		}
		each(v.Key, v.Value)
	}
}

func (d *decoder) field(key ast.MapKeyNode, value ast.Node, in reflect.Value, name string) {
	var here []string
	for i := range in.NumField() {
		k := in.Type().Field(i).Tag.Get("yaml")
		if k == "-" {
			continue
		}
		if k == keyText(key) {
			d.value(value, in.Field(i), k)
			return
		}
		here = append(here, k)
	}
	unknown := keyText(key)
	message := fmt.Sprintf("unknown key %q", unknown)
	if near := Nearest(unknown, here); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	} else if slices.Contains(keys(reflect.TypeFor[Config]()), unknown) {
		message += " here; it belongs elsewhere in the file"
	} else {
		message += fmt.Sprintf("; %s may have %s", name, strings.Join(here, ", "))
	}
	d.fail(key.GetToken(), "%s", message)
}

// scalar sets a plain value from its text as written.
func (d *decoder) scalar(n ast.Node, v reflect.Value, name string) {
	text, ok := scalarText(n)
	if !ok {
		d.fail(n.GetToken(), "%s wants a single value, not a list or keys", name)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			d.fail(n.GetToken(), "%v", err)
		}
		return
	}
	_, quoted := n.(*ast.StringNode)
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil || quoted {
			d.fail(n.GetToken(), "%s wants a whole number, not %q", name, text)
			return
		}
		v.SetInt(int64(i))
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.fail(n.GetToken(), "%s wants true or false, not %q", name, text)
			return
		}
		v.SetBool(b.Value)
	default:
		d.fail(n.GetToken(), "%s cannot be set", name)
	}
}

func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.MappingNode:
		if len(n.Values) == 1 {
			return scalarText(n.Values[0])
		}
	case *ast.MappingValueNode:
		return unspaced(n)
	}
	return "", false
}

// unspaced is text such as oncall:db, which YAML takes for text since no space
// follows the colon, and the parser within braces for a key with a value.
func unspaced(n *ast.MappingValueNode) (string, bool) {
	k, v := n.Key.GetToken(), n.Value.GetToken()
	text, ok := scalarText(n.Value)
	if k.Type != token.StringType || !ok || v.Type != token.StringType || k.Position.Line != v.Position.Line || k.Position.Column+len(k.Value)+1 != v.Position.Column {
		return "", false
	}
	return k.Value + ":" + text, true
}

// keys are all keys that t and what it holds may have.
func keys(t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Map, reflect.Slice:
		return keys(t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var all []string
	for i := range t.NumField() {
		if k := t.Field(i).Tag.Get("yaml"); k != "" && k != "-" {
			all = append(append(all, k), keys(t.Field(i).Type)...)
		}
	}
	return all
}

// Nearest is the candidate at most a third of key's letters away, or "".
func Nearest(key string, candidates []string) string {
	best, at := "", len(key)/3+1
	for _, c := range candidates {
		if d := distance(key, c); d < at || d == at && best == "" {
			best, at = c, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
