package lang

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// scope is where an expression is evaluated.
type scope struct {
	env Env
	// ends makes a mapping's name mean its end: right of .. in a range.
	ends bool
}

// node is a node of a parsed expression.
type node interface {
	eval(scope) (Number, error)
}

type (
	literal    struct{ n Number }
	dollarName string // a register or a variable
	row        struct{ n node }
	deref      struct {
		addr node
		size int
	}
	unary struct {
		op byte
		x  node
	}
	operation struct {
		op          string
		left, right node
	}
	inProcess struct{ x, pid node }
	name      struct {
		text  string
		which sort
	}
)

// sort says what a name may be.
type sort uint8

const (
	anyName sort = iota // a symbol, else a mapping, else a constant
	symbolOnly
	mappingOnly
)

func (l literal) eval(scope) (Number, error) { return l.n, nil }

func (d dollarName) eval(s scope) (Number, error) {
	v, ok, err := s.env.Register(string(d))
	if err != nil {
		return Number{}, fmt.Errorf("$%s: %w", string(d), err)
	}
	if ok {
		return v, nil
	}
	if v, ok := s.env.Variable(string(d)); ok {
		return v, nil
	}
	names := append(s.env.Names(RegisterNames), s.env.Names(VariableNames)...)
	near := Nearest(string(d), names)
	if near != "" {
		near = "$" + near
	}
	return Number{}, &UnknownError{Word: "$" + string(d), Tried: []string{"register", "variable"}, Nearest: near}
}

// mapped returns the range of a node that names a mapping; ok is false if it does
// not name one.
func mapped(x node, s scope) (ar memmap.AddrRange, pid int, ok bool, err error) {
	switch x := x.(type) {
	case inProcess:
		if s, pid, err = x.enter(s); err != nil {
			return ar, 0, true, err
		}
		ar, _, ok, err = mapped(x.x, s)
		return ar, pid, ok, err
	case row:
		n, err := x.n.eval(s)
		if err == nil {
			ar, err = s.env.Row(n.Bits)
		}
		return ar, 0, true, err
	case name:
		if x.which == anyName {
			if _, isSymbol := s.env.Symbol(x.text); isSymbol {
				return ar, 0, false, nil
			}
		}
		if x.which != symbolOnly {
			ar, ok = s.env.Mapping(x.text)
		}
		return ar, 0, ok, nil
	}
	return ar, 0, false, nil
}

// edge is the address that a mapping's name means.
func (s scope) edge(ar memmap.AddrRange) Number {
	if s.ends {
		return At(ar.End)
	}
	return At(ar.Start)
}

func (r row) eval(s scope) (Number, error) {
	ar, _, _, err := mapped(r, s)
	return s.edge(ar), err
}

func (n name) eval(s scope) (Number, error) {
	var tried []string
	if n.which != mappingOnly {
		if a, ok := s.env.Symbol(n.text); ok {
			return At(a), nil
		}
		tried = append(tried, "symbol")
	}
	if n.which != symbolOnly {
		if ar, ok := s.env.Mapping(n.text); ok {
			return s.edge(ar), nil
		}
		tried = append(tried, "mapping")
	}
	if n.which == anyName {
		if v, ok := Constant(n.text); ok {
			return Number{Bits: v}, nil
		}
		tried = append(tried, "constant")
	}
	return Number{}, &UnknownError{Word: n.text, Tried: tried, Nearest: n.nearest(s.env)}
}

// nearest returns how the name may have been meant.
func (n name) nearest(env Env) string {
	if n.which == anyName && IsBareHex("0000000"+n.text) {
		return "0x" + n.text
	}
	var names []string
	if n.which != mappingOnly {
		names = append(names, env.Names(SymbolNames)...)
	}
	if n.which != symbolOnly {
		names = append(names, env.Names(MappingNames)...)
	}
	if n.which == anyName {
		names = append(names, constantNames()...)
		for _, r := range append(env.Names(RegisterNames), env.Names(VariableNames)...) {
			if r == n.text {
				return "$" + r
			}
		}
	}
	return Nearest(n.text, names)
}

// Error says what was tried and the nearest match.
func (e *UnknownError) Error() string {
	text := fmt.Sprintf("no %s is called %s", strings.Join(e.Tried, ", "), e.Word)
	if n := len(e.Tried); n > 1 {
		text = fmt.Sprintf("no %s or %s is called %s", strings.Join(e.Tried[:n-1], ", "), e.Tried[n-1], e.Word)
	}
	if e.Nearest != "" {
		text += fmt.Sprintf(" (nearest: %s)", e.Nearest)
	}
	return text
}

// enter returns the scope of the process that an @PID names.
func (x inProcess) enter(s scope) (scope, int, error) {
	pid, err := x.pid.eval(s)
	if err != nil {
		return s, 0, err
	}
	if pid.Bits == 0 || pid.Bits > 1<<30 {
		return s, 0, fmt.Errorf("@%s is no process", pid)
	}
	env, err := s.env.Process(int(pid.Bits))
	if err != nil {
		return s, 0, err
	}
	return scope{env, s.ends}, int(pid.Bits), nil
}

func (x inProcess) eval(s scope) (Number, error) {
	there, pid, err := x.enter(s)
	if err != nil {
		return Number{}, err
	}
	v, err := x.x.eval(there)
	v.PID, v.Kind = pid, Address
	return v, err
}

// ReadError is a read of memory that an expression asked for and did not get.
type ReadError struct {
	Addr memmap.Addr
	Size int // bytes
	Err  error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("cannot read %d bytes at %v: %v", e.Size, e.Addr, e.Err)
}

// Unwrap returns why.
func (e *ReadError) Unwrap() error { return e.Err }

// eval reads little-endian memory. Fewer than 8 bytes are not negative. What an
// address of another process points to is an address there.
func (d deref) eval(s scope) (Number, error) {
	s.ends = false
	at, err := d.addr.eval(s)
	if err != nil {
		return Number{}, err
	}
	env := s.env
	if at.PID != 0 {
		if env, err = env.Process(at.PID); err != nil {
			return Number{}, err
		}
	}
	var b [8]byte
	if err := env.Read(at.Addr(), b[:d.size]); err != nil {
		return Number{}, &ReadError{at.Addr(), d.size, err}
	}
	return Number{Bits: binary.LittleEndian.Uint64(b[:]), PID: at.PID}, nil
}

func (u unary) eval(s scope) (Number, error) {
	v, err := u.x.eval(s)
	if err != nil {
		return v, err
	}
	switch u.op {
	case '-':
		v.Bits, v.Kind = -v.Bits, Signed
	case '~':
		v.Bits = ^v.Bits
	case '!':
		v = truth(!v.True())
	}
	return v, nil
}

func truth(b bool) Number {
	if b {
		return Number{Bits: 1}
	}
	return Number{}
}

func (b operation) eval(s scope) (Number, error) {
	left, err := b.left.eval(s)
	if err != nil {
		return left, err
	}
	if b.op == "&&" && !left.True() || b.op == "||" && left.True() {
		return truth(left.True()), nil
	}
	right, err := b.right.eval(s)
	if err != nil {
		return right, err
	}
	if b.op == "-" && right.Kind != Address {
		if left, err = b.belowEnd(s, left); err != nil {
			return left, err
		}
	}
	return apply(b.op, left, right)
}

// belowEnd returns the left side of a difference: [stack]-0x20 counts from
// the mapping's end, for nothing of it lies below its start.
func (b operation) belowEnd(s scope, left Number) (Number, error) {
	ar, pid, ok, err := mapped(b.left, s)
	if !ok || err != nil {
		return left, err
	}
	return Number{Bits: uint64(ar.End), Kind: Address, PID: pid}, nil
}

// The errors of arithmetic.
var (
	ErrDivision = errors.New("division by zero")
	ErrShift    = errors.New("shift by more than 63")
)

// apply computes a op b. Sums, products and differences wrap.
func apply(op string, a, b Number) (Number, error) {
	if v, ok := compare(op, a, b); ok {
		return truth(v), nil
	}
	v := Number{Kind: kindOf(op, a, b)}
	signed := a.Kind == Signed && b.Kind == Signed
	switch op {
	case "&&", "||":
		return truth(b.True()), nil
	case "+":
		v.Bits = a.Bits + b.Bits
	case "-":
		v.Bits = a.Bits - b.Bits
	case "*":
		v.Bits = a.Bits * b.Bits
	case "/", "%":
		if b.Bits == 0 {
			return v, ErrDivision
		}
		v.Bits = divide(op, a, b, signed)
	case "<<", ">>":
		if b.Bits > 63 {
			return v, ErrShift
		}
		v.Bits = shift(op, a, b.Bits)
	case "&":
		v.Bits = a.Bits & b.Bits
	case "|":
		v.Bits = a.Bits | b.Bits
	case "^":
		v.Bits = a.Bits ^ b.Bits
	}
	return owned(v, a, b)
}

// kindOf returns the kind of a op b, as Number documents.
func kindOf(op string, a, b Number) Kind {
	addresses := 0
	for _, n := range []Number{a, b} {
		if n.Kind == Address {
			addresses++
		}
	}
	switch {
	case op == "<<" || op == ">>":
		return min(a.Kind, Unsigned)
	case op == "-" && addresses == 2, op == "-" && b.Kind == Address:
		return Signed
	case addresses > 0 && strings.Contains("+-&|^", op):
		return Address
	}
	return min(max(a.Kind, b.Kind), Unsigned)
}

func divide(op string, a, b Number, signed bool) uint64 {
	switch {
	case op == "/" && signed:
		return uint64(a.Int() / b.Int())
	case signed:
		return uint64(a.Int() % b.Int())
	case op == "/":
		return a.Bits / b.Bits
	}
	return a.Bits % b.Bits
}

func shift(op string, a Number, by uint64) uint64 {
	switch {
	case op == "<<":
		return a.Bits << by
	case a.Kind == Signed:
		return uint64(a.Int() >> by)
	}
	return a.Bits >> by
}

// owned gives v the process of its operands.
func owned(v, a, b Number) (Number, error) {
	switch {
	case a.PID == b.PID || b.PID == 0:
		v.PID = a.PID
	case a.PID == 0:
		v.PID = b.PID
	case v.Kind == Address:
		return v, fmt.Errorf("%v and %v are addresses of two processes", a, b)
	}
	return v, nil
}

// compare applies a comparison; ok is false if op is none.
func compare(op string, a, b Number) (v, ok bool) {
	less, more := a.Bits < b.Bits, a.Bits > b.Bits
	if a.Kind == Signed && b.Kind == Signed {
		less, more = a.Int() < b.Int(), a.Int() > b.Int()
	}
	switch op {
	case "==":
		return a.Bits == b.Bits, true
	case "!=":
		return a.Bits != b.Bits, true
	case "<":
		return less, true
	case "<=":
		return !more, true
	case ">":
		return more, true
	case ">=":
		return !less, true
	}
	return false, false
}

// Compare applies a comparison that SplitComparison found.
func Compare(a Number, op string, b Number) (bool, error) {
	v, ok := compare(op, a, b)
	if !ok {
		return false, fmt.Errorf("%q is no comparison: == != < <= > >=", op)
	}
	return v, nil
}
