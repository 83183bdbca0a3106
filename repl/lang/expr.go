package lang

// Expr is a parsed expression. It may be evaluated many times.
type Expr struct {
	Text string
	root node
}

type node interface{ eval(Env) (Number, error) }

// ParseExpr parses an expression. Names in it are looked up when it is evaluated.
func ParseExpr(s string) (*Expr, error) { panic("lang: unwritten") }

// ParseAddr parses an expression where an address is asked: a whole word of 8 to 16
// bare hexadecimal digits is hexadecimal.
func ParseAddr(s string) (*Expr, error) { panic("lang: unwritten") }

// Eval evaluates the expression.
func (e *Expr) Eval(env Env) (Number, error) { panic("lang: unwritten") }

// Eval parses and evaluates an expression.
func Eval(env Env, s string) (Number, error) { panic("lang: unwritten") }

// EvalAddr parses and evaluates an expression where an address is asked.
func EvalAddr(env Env, s string) (Number, error) { panic("lang: unwritten") }

// SplitAssign splits at the first = that is an operator of its own, outside quotes
// and brackets: `set {8}$a = 3`, `let n=4`.
func SplitAssign(s string) (left, right string, ok bool) { panic("lang: unwritten") }

// SplitComparison splits at the last of == != < <= > >= outside quotes and brackets:
// `rss <= 4k`, `refs==1`, `count cow-copy in [heap] > 3`. << >> -> are no comparisons.
func SplitComparison(s string) (left, op, right string, ok bool) { panic("lang: unwritten") }

// Compare applies a comparison that SplitComparison found.
func Compare(a Number, op string, b Number) (bool, error) { panic("lang: unwritten") }
