package lang

import (
	"fmt"
	"strconv"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// Expr is a parsed expression. It may be evaluated many times.
type Expr struct {
	Text string
	root node
}

// ParseExpr parses an expression. Names in it are looked up when it is evaluated.
//
// From the strongest: E@PID (the sum that E ends, in another process); unary * ~ - !
// and {N}; * / %; + -; << >>; < <= > >=; == !=; &; ^; |; &&; ||. All but the unary
// ones group to the left; && and || evaluate no more than they need.
func ParseExpr(s string) (*Expr, error) {
	p := &exprParser{src: s}
	root, err := p.binary(0)
	if err == nil && p.skip() {
		err = p.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return &Expr{Text: strings.TrimSpace(s), root: root}, nil
}

// ParseAddr parses an expression where an address is asked: a whole word of 8 to 16
// bare hexadecimal digits is hexadecimal.
func ParseAddr(s string) (*Expr, error) {
	word, process, at := strings.Cut(strings.TrimSpace(s), "@")
	if !IsBareHex(word) {
		return ParseExpr(s)
	}
	v, err := strconv.ParseUint(word, 16, 64)
	if err != nil {
		return nil, err
	}
	var root node = literal{At(memmap.Addr(v))}
	if at {
		pid, err := ParseExpr(process)
		if err != nil {
			return nil, err
		}
		root = inProcess{root, pid.root}
	}
	return &Expr{Text: strings.TrimSpace(s), root: root}, nil
}

// Eval evaluates the expression.
func (e *Expr) Eval(env Env) (Number, error) { return e.root.eval(scope{env: env}) }

// Eval parses and evaluates an expression.
func Eval(env Env, s string) (Number, error) {
	e, err := ParseExpr(s)
	if err != nil {
		return Number{}, err
	}
	return e.Eval(env)
}

// EvalAddr parses and evaluates an expression where an address is asked.
func EvalAddr(env Env, s string) (Number, error) {
	e, err := ParseAddr(s)
	if err != nil {
		return Number{}, err
	}
	return e.Eval(env)
}

// Place is what `set` changes: a register, or Size bytes of memory.
type Place struct {
	Register string // without $; "" for memory
	Addr     *Expr
	Size     int // 1 to 8
}

// ParsePlace reads the left side of `set … = V`: $REG, {N}ADDR or *ADDR.
func ParsePlace(s string) (Place, error) {
	e, err := ParseExpr(s)
	if err != nil {
		return Place{}, err
	}
	switch n := e.root.(type) {
	case dollarName:
		return Place{Register: string(n)}, nil
	case deref:
		return Place{Addr: &Expr{Text: e.Text, root: n.addr}, Size: n.size}, nil
	}
	return Place{}, fmt.Errorf("%s cannot be set: write $REG, {SIZE}ADDR or *ADDR", e.Text)
}

// exprParser parses by precedence climbing.
type exprParser struct {
	src   string
	off   int
	depth int
	joins int // operators between two operands
}

// maxOperators bounds an expression: it is evaluated by recursion, one call deep an operator.
const maxOperators = 10000

// operators by precedence, the loosest first. Longer ones stand before those they
// begin with.
var operators = [][]string{
	{"||"}, {"&&"}, {"|"}, {"^"}, {"&"}, {"==", "!="}, {"<=", ">=", "<", ">"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"},
}

const additive = 8 // the level of + and -

// skip moves over blanks and reports whether anything follows.
func (p *exprParser) skip() bool {
	for p.off < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.off]) >= 0 {
		p.off++
	}
	return p.off < len(p.src)
}

func (p *exprParser) peek() byte { return byteAt(p.src, p.off) }

func (p *exprParser) unexpected() error {
	if !p.skip() {
		if strings.TrimSpace(p.src) == "" {
			return fmt.Errorf("an expression is missing")
		}
		return fmt.Errorf("%s: something is missing at its end", strings.TrimSpace(p.src))
	}
	return fmt.Errorf("%s: unexpected %q at column %d", strings.TrimSpace(p.src), p.src[p.off:], p.off+1)
}

// operator takes the operator of this level that stands here, "" if none does.
func (p *exprParser) operator(level int) string {
	if !p.skip() {
		return ""
	}
	rest := p.src[p.off:]
	for _, op := range operators[level] {
		if strings.HasPrefix(rest, op) && !longer(rest, op) {
			p.off += len(op)
			return op
		}
	}
	return ""
}

// longer reports whether the operator at the start of rest is more than op: || is
// not |, << not <.
func longer(rest, op string) bool {
	if len(op) > 1 {
		return false
	}
	next := byteAt(rest, 1)
	return strings.Contains("|&<>", op) && next == op[0]
}

// binary parses operators of the level and tighter ones.
func (p *exprParser) binary(level int) (node, error) {
	if level == len(operators) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil {
		op := p.operator(level)
		if op == "" {
			return left, nil
		}
		if p.joins++; p.joins > maxOperators {
			return nil, fmt.Errorf("an expression has more than %d operators", maxOperators)
		}
		var right node
		if right, err = p.binary(level + 1); err == nil {
			left = join(level, op, left, right)
		}
	}
	return nil, err
}

// join makes a binary node. The @PID at the end of a sum is the whole sum's: in
// main+4@3 the main of process 3 is meant.
func join(level int, op string, left, right node) node {
	there, ok := right.(inProcess)
	if _, own := left.(inProcess); ok && level == additive && !own {
		return inProcess{operation{op, left, there.x}, there.pid}
	}
	return operation{op, left, right}
}

func (p *exprParser) unary() (node, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("an expression is nested deeper than %d", maxNesting)
	}
	defer func() { p.depth-- }()
	if !p.skip() {
		return nil, p.unexpected()
	}
	switch c := p.peek(); c {
	case '*':
		p.off++
		x, err := p.unary()
		return deref{x, 8}, err
	case '~', '-', '!':
		p.off++
		x, err := p.unary()
		return unary{c, x}, err
	case '&':
		return nil, fmt.Errorf("%s: & takes no address here: a symbol is its address", strings.TrimSpace(p.src))
	case '{':
		return p.sizedRead()
	}
	x, err := p.primary()
	if err != nil || p.peek() != '@' {
		return x, err
	}
	p.off++
	pid, err := p.process()
	return inProcess{x, pid}, err
}

// sizedRead parses {N}E.
func (p *exprParser) sizedRead() (node, error) {
	end := bracketEnd(p.src, p.off)
	if end < 0 {
		return nil, fmt.Errorf("%s: { is not closed", strings.TrimSpace(p.src))
	}
	text := strings.TrimSpace(p.src[p.off+1 : end-1])
	n, err := ParseNumber(text)
	if err != nil || n < 1 || n > 8 {
		return nil, fmt.Errorf("{%s} is no size: {N}E reads N bytes, 1 to 8", text)
	}
	p.off = end
	x, err := p.unary()
	return deref{x, int(n)}, err
}

// process parses the PID of ADDR@PID: a number or $name.
func (p *exprParser) process() (node, error) {
	switch c := p.peek(); {
	case '0' <= c && c <= '9':
		return p.number()
	case c == '$':
		return p.dollar()
	}
	return nil, p.unexpected()
}

func (p *exprParser) primary() (node, error) {
	switch c := p.peek(); {
	case c == '(':
		return p.parenthesis()
	case '0' <= c && c <= '9':
		return p.number()
	case c == '$':
		return p.dollar()
	case c == '[' || c == '"' || c == '\'':
		text, err := p.quotedName()
		if c == '[' {
			return name{text, mappingOnly}, err
		}
		return name{text, anyName}, err
	case isNameStart(c):
		return p.word()
	}
	return nil, p.unexpected()
}

func (p *exprParser) parenthesis() (node, error) {
	start := p.off
	p.off++
	x, err := p.binary(0)
	switch {
	case err != nil:
		return nil, err
	case !p.skip():
		return nil, fmt.Errorf("%s: ( at column %d is not closed", strings.TrimSpace(p.src), start+1)
	case p.peek() != ')':
		return nil, p.unexpected()
	}
	p.off++
	return x, nil
}

func (p *exprParser) number() (node, error) {
	start := p.off
	for isNamePart(p.peek()) {
		p.off++
	}
	v, err := ParseNumber(p.src[start:p.off])
	if int64(v) < 0 {
		return literal{Number{Bits: v, Kind: Unsigned}}, err
	}
	return literal{Number{Bits: v}}, err
}

// dollar parses $name.
func (p *exprParser) dollar() (node, error) {
	start := p.off
	for p.off++; isNamePart(p.peek()); {
		p.off++
	}
	if p.off == start+1 {
		return nil, fmt.Errorf("%s: a name must follow $", strings.TrimSpace(p.src))
	}
	return dollarName(p.src[start+1 : p.off]), nil
}

// quotedName parses [heap] (brackets kept), 'name' or "name".
func (p *exprParser) quotedName() (string, error) {
	start := p.off
	if p.peek() == '[' {
		end := bracketEnd(p.src, start)
		if end < 0 {
			return "", fmt.Errorf("%s: [ is not closed", strings.TrimSpace(p.src))
		}
		p.off = end
		return p.src[start:end], nil
	}
	end := quoteEnd(p.src, start)
	if end < 0 {
		return "", fmt.Errorf("%s: quote is not closed", strings.TrimSpace(p.src))
	}
	p.off = end
	return unquote(p.src[start:end])
}

// word parses a bare name, vma:N, sym:NAME or map:NAME.
func (p *exprParser) word() (node, error) {
	start := p.off
	switch rest := p.src[start:]; {
	case strings.HasPrefix(rest, "vma:"):
		p.off += len("vma:")
		n, err := p.process() // a number or $name, as a PID
		return row{n}, err
	case strings.HasPrefix(rest, "sym:"):
		p.off += len("sym:")
		return p.chosen(symbolOnly)
	case strings.HasPrefix(rest, "map:"):
		p.off += len("map:")
		return p.chosen(mappingOnly)
	}
	text := p.bareName()
	if text == "" {
		return nil, p.unexpected()
	}
	return name{text, anyName}, nil
}

// chosen parses the name behind sym: or map:.
func (p *exprParser) chosen(which sort) (node, error) {
	if c := p.peek(); c == '[' || c == '"' || c == '\'' {
		text, err := p.quotedName()
		return name{text, which}, err
	}
	text := p.bareName()
	if text == "" {
		return nil, p.unexpected()
	}
	return name{text, which}, nil
}

// bareName takes a name without quotes: letters, digits, _ and : with single dots
// (libc.so.6) and with @ where a letter follows (puts@plt, memcpy@@GLIBC_2.14).
func (p *exprParser) bareName() string {
	start := p.off
	for p.off < len(p.src) {
		c, next := p.peek(), byteAt(p.src, p.off+1)
		switch {
		case isNamePart(c) || c == ':' && p.off > start:
		case c == '.' && next != '.' && byteAt(p.src, p.off-1) != '.':
		case c == '@' && p.off > start && (next == '@' || isNameStart(next)):
		default:
			return p.src[start:p.off]
		}
		p.off++
	}
	return p.src[start:p.off]
}

// isNameStart reports whether a bare name may begin with c. Bytes of other
// alphabets may.
func isNameStart(c byte) bool {
	return c == '_' || c == '.' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

// isNamePart reports whether c continues a name behind $, or a number.
func isNamePart(c byte) bool {
	return c != '.' && isNameStart(c) || '0' <= c && c <= '9'
}
