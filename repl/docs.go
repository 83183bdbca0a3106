package repl

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"mmsh.dev/mmsh/repl/view"
)

// Overview lists all commands by group.
func Overview() string { return newTable().overview() }

// Manual is all that is known of a command.
func Manual(name string) (string, error) {
	entry, err := newTable().find(name, false)
	if err != nil {
		return "", err
	}
	return entry.manual(), nil
}

// CommandsPage is docs/commands.md.
func CommandsPage() string {
	var out strings.Builder
	out.WriteString("# Commands\n\nMade from the table of commands by `go run ./cmd/mmsh help --markdown`; a test keeps it true and runs every example.\n")
	t := newTable()
	for _, group := range Groups {
		fmt.Fprintf(&out, "\n## %s%s\n", strings.ToUpper(group[:1]), group[1:])
		for _, c := range t.commands {
			if c.Group == group {
				c.markdown(&out)
			}
		}
	}
	return out.String()
}

func (e *Command) markdown(out *strings.Builder) {
	fmt.Fprintf(out, "\n### %s\n\n```\n%s\n```\n\n%s%s.", e.Name, e.usage(), strings.ToUpper(e.Summary[:1]), e.Summary[1:])
	if len(e.Aliases) > 0 {
		fmt.Fprintf(out, " Also: `%s`.", strings.Join(e.Aliases, "` `"))
	}
	out.WriteString("\n")
	if e.Help != "" {
		if strings.Contains(e.Help, "\n") {
			fmt.Fprintf(out, "\n```\n%s\n```\n", e.Help)
		} else {
			fmt.Fprintf(out, "\n%s\n", e.Help)
		}
	}
	out.WriteString("\n```\n")
	for _, x := range e.Examples {
		line := x.Line
		if x.Setup != "" {
			line = x.Setup + "; " + line
		}
		if x.Shows != "" {
			line = fmt.Sprintf("%-60s # %s", line, x.Shows)
		}
		fmt.Fprintf(out, "%s\n", line)
	}
	out.WriteString("```\n")
}

// JSONPage is docs/json.md: the envelope and every command's data.
func JSONPage() string {
	var out strings.Builder
	out.WriteString("# JSON\n\nMade from the types of the answers by `go run ./cmd/mmsh help --json-markdown`; a test keeps it true. docs/mmsh-1.schema.json is the same as a JSON Schema.\n\n" +
		"`--json` writes one envelope a command, `--json=lines` one a line. Addresses are `\"0x…\"`, sizes are bytes, a ? marks what may be missing.\n\n## The envelope\n\n```\n")
	shape(&out, reflect.TypeOf(view.Envelope{}), "")
	out.WriteString("```\n")
	for _, c := range newTable().commands {
		if len(c.Data) > 0 {
			fmt.Fprintf(&out, "\n## %s\n", c.Name)
		}
		for i, v := range c.Data {
			if i > 0 {
				out.WriteString("\nor\n")
			}
			out.WriteString("\n```\n")
			shape(&out, reflect.TypeOf(v), "")
			out.WriteString("```\n")
		}
	}
	return out.String()
}

// field is a field of a struct as JSON has it.
type field struct {
	name     string
	optional bool
	of       reflect.Type
}

func fields(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("json")
		name, opts, _ := strings.Cut(tag, ",")
		if name != "-" && name != "" {
			list = append(list, field{name, strings.Contains(opts, "omitempty"), t.Field(i).Type})
		}
	}
	return list
}

var (
	addrType  = reflect.TypeOf(view.Addr(0))
	valueType = reflect.TypeFor[view.Value]()
)

// shape prints the fields of a struct, one a line, those of inner structs indented.
func shape(out *strings.Builder, t reflect.Type, indent string) {
	for _, f := range fields(t) {
		mark := ""
		if f.optional {
			mark = "?"
		}
		kind, inner := kindOf(f.of)
		fmt.Fprintf(out, "%s%s%s: %s\n", indent, f.name, mark, kind)
		if inner != nil {
			shape(out, inner, indent+"  ")
		}
	}
}

// kindOf names a type, and returns the struct in it, if there is one.
func kindOf(t reflect.Type) (string, reflect.Type) {
	switch {
	case t == addrType:
		return `"0x…"`, nil
	case t == valueType:
		return "the command's data", nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice:
		kind, inner := kindOf(t.Elem())
		return "list of " + kind, inner
	case reflect.Struct:
		return "object", t
	case reflect.Bool:
		return "true or false", nil
	case reflect.String:
		return "text", nil
	}
	return "number", nil
}

// JSONSchema is docs/mmsh-1.schema.json.
func JSONSchema() string {
	data := []any{map[string]any{"type": "null"}}
	seen := map[reflect.Type]bool{}
	for _, c := range newTable().commands {
		for _, v := range c.Data {
			if t := reflect.TypeOf(v); !seen[t] {
				seen[t] = true
				data = append(data, schemaOf(t))
			}
		}
	}
	envelope := schemaOf(reflect.TypeOf(view.Envelope{}))
	envelope["properties"].(map[string]any)["data"] = map[string]any{"anyOf": data}
	envelope["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	envelope["title"] = view.Schema
	b, err := json.MarshalIndent(envelope, "", " ")
	if err != nil {
		panic(err) // maps of strings
	}
	return string(b) + "\n"
}

func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == addrType:
		return map[string]any{"type": "string", "pattern": "^0x[0-9a-f]+$"}
	case t == valueType:
		return map[string]any{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": schemaOf(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		for _, f := range fields(t) {
			properties[f.name] = schemaOf(f.of)
			if !f.optional {
				required = append(required, f.name)
			}
		}
		return map[string]any{"type": "object", "properties": properties, "required": required}
	}
	return map[string]any{"type": "number"}
}

// CheckData reports how data, decoded from JSON, differs from every shape that
// the command called name may answer.
func CheckData(name string, data any) error {
	entry, err := newTable().find(name, false)
	if err != nil || data == nil {
		return err
	}
	var wrong []error
	for _, v := range entry.Data {
		err := checkShape(data, reflect.TypeOf(v), name)
		if err == nil {
			return nil
		}
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// checkShape compares decoded JSON with a type.
func checkShape(data any, t reflect.Type, at string) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch data := data.(type) {
	case map[string]any:
		if t == valueType {
			return nil // another command's
		}
		if t.Kind() != reflect.Struct {
			return fmt.Errorf("%s: an object is no %v", at, t)
		}
		return checkObject(data, t, at)
	case []any:
		if t.Kind() != reflect.Slice {
			return fmt.Errorf("%s: a list is no %v", at, t)
		}
		for i, one := range data {
			if err := checkShape(one, t.Elem(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case string:
		if t.Kind() != reflect.String && t != addrType {
			return fmt.Errorf("%s: %q is no %v", at, data, t)
		}
	case float64:
		if t == addrType || !strings.Contains(t.Kind().String(), "int") && t.Kind() != reflect.Float64 {
			return fmt.Errorf("%s: a number is no %v", at, t)
		}
	case bool:
		if t.Kind() != reflect.Bool {
			return fmt.Errorf("%s: %v is no %v", at, data, t)
		}
	}
	return nil
}

func checkObject(data map[string]any, t reflect.Type, at string) error {
	known := map[string]bool{}
	for _, f := range fields(t) {
		known[f.name] = true
		value, ok := data[f.name]
		if !ok && !f.optional {
			return fmt.Errorf("%s lacks %s", at, f.name)
		}
		if err := checkShape(value, f.of, at+"."+f.name); ok && err != nil {
			return err
		}
	}
	for name := range data {
		if !known[name] {
			return fmt.Errorf("%s has %s, which its shape has not", at, name)
		}
	}
	return nil
}
