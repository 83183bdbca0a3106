package view

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// Schema names the shape of everything that --json writes.
const Schema = "mmsh/1"

// Envelope is one command's answer in JSON.
type Envelope struct {
	Schema string   `json:"schema"`
	Cmd    string   `json:"cmd"`  // the full name
	Line   string   `json:"line"` // as written
	At     string   `json:"at"`   // FILE:LINE
	PID    int32    `json:"pid"`  // the current process
	Event  uint64   `json:"event"`
	OK     bool     `json:"ok"`
	Data   Value    `json:"data,omitempty"`
	Error  *Error   `json:"error,omitempty"`
	Output []Output `json:"output,omitempty"`
	Cut    bool     `json:"output_cut,omitempty"` // output is incomplete: --max-output
}

// ErrorKind sorts failures.
type ErrorKind string

// The kinds of failure.
const (
	KindCommand  ErrorKind = "command"
	KindExpect   ErrorKind = "expect"
	KindSyntax   ErrorKind = "syntax"
	KindLimit    ErrorKind = "limit"
	KindInternal ErrorKind = "internal"
)

// Error is a failure in JSON.
type Error struct {
	Kind   ErrorKind `json:"kind"`
	Errno  string    `json:"errno,omitempty"`
	Reason string    `json:"reason"`
	Asked  string    `json:"asked,omitempty"`
	Found  string    `json:"found,omitempty"`
}

// Output is what a guest wrote during a command.
type Output struct {
	PID    int32  `json:"pid"`
	FD     int    `json:"fd"`
	Text   string `json:"text,omitempty"`
	Base64 string `json:"base64,omitempty"` // what is no UTF-8
}

// OutputOf returns data as an Output.
func OutputOf(pid int32, fd int, data []byte) Output {
	o := Output{PID: pid, FD: fd}
	if utf8.Valid(data) {
		o.Text = string(data)
	} else {
		o.Base64 = base64.StdEncoding.EncodeToString(data)
	}
	return o
}

// JSON returns e on one line, or indented, with a newline at its end.
func (e *Envelope) JSON(oneLine bool) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if !oneLine {
		enc.SetIndent("", "  ")
	}
	err := enc.Encode(e)
	return b.Bytes(), err
}
