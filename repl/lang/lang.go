// Package lang is the language of the shell: how a line becomes commands, a word
// a number, and an expression a value. It knows nothing of processes: everything
// that depends on one (registers, symbols, mappings, memory) is asked of an Env.
//
//	script.go    the tree of Commands; parse.go makes it of lines, words, quotes, blocks
//	input.go     the same for a prompt and a pipe, line by line
//	scan.go      finding operators and words outside quotes and brackets
//	quote.go     quotes, escapes, `$name` in echo
//	number.go    number words, and Number, the value of an expression
//	expr.go      the expression parser; eval.go its evaluation
//	range.go     ranges of addresses
//	perms.go     permissions and their patterns; consts.go the PROT_ MAP_ MADV_ … words
//	bytes.go     "text", hex, and search patterns; format.go the /4gx of x and print
//	moment.go    @12, @-3, @mark
//	filter.go    the grammar of events, trace, catch, count, stats
//	nearest.go   the closest name to a mistyped one
//
// Start with script.go.
package lang
