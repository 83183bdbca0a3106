package view

import (
	"strings"
	"unicode/utf8"
)

// cell is a piece of a table.
type cell struct {
	text  string
	style Style
}

// table is rows under heads. A head that begins with a blank is right-aligned.
type table struct {
	heads []string
	rows  [][]cell
}

func newTable(heads ...string) *table { return &table{heads: heads} }

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

func plain(s string) cell { return cell{text: s} }

// print draws the table. If it does not fit the width, its widest columns are cut.
func (t *table) print(p *Printer) {
	widths := make([]int, len(t.heads))
	for i, h := range t.heads {
		widths[i] = utf8.RuneCountInString(strings.TrimSpace(h))
	}
	for _, r := range t.rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	shrink(widths, p.Width)
	heads := make([]cell, len(t.heads))
	for i, h := range t.heads {
		heads[i] = cell{strings.TrimSpace(h), Title}
	}
	t.printRow(p, widths, heads)
	for _, r := range t.rows {
		t.printRow(p, widths, r)
	}
}

// columnGap is the blanks between two columns.
const columnGap = 2

// shrink takes the columns' widths down, the widest first, until their sum fits.
func shrink(widths []int, width int) {
	const least = 8
	over := columnGap*(len(widths)-1) - width
	for _, w := range widths {
		over += w
	}
	for width > 0 && over > 0 {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= least {
			return // too narrow to help: the lines wrap
		}
		widths[widest]--
		over--
	}
}

func (t *table) printRow(p *Printer, widths []int, row []cell) {
	var line strings.Builder
	for i, c := range row {
		if i > 0 {
			line.WriteString(strings.Repeat(" ", columnGap))
		}
		text := cut(c.text, widths[i])
		room := widths[i] - utf8.RuneCountInString(text)
		last := i == len(row)-1
		right := strings.HasPrefix(t.heads[i], " ")
		if right {
			line.WriteString(strings.Repeat(" ", room))
		}
		line.WriteString(p.Paint(c.style, text))
		if !right && !last {
			line.WriteString(strings.Repeat(" ", room))
		}
	}
	p.Line("%s", strings.TrimRight(line.String(), " "))
}

// cut shortens text to n columns.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}
