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

// print draws the table. What does not fit the width is cut in the last column.
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
	heads := make([]cell, len(t.heads))
	for i, h := range t.heads {
		heads[i] = cell{strings.TrimSpace(h), Title}
	}
	t.printRow(p, widths, heads)
	for _, r := range t.rows {
		t.printRow(p, widths, r)
	}
}

func (t *table) printRow(p *Printer, widths []int, row []cell) {
	var line strings.Builder
	column := 0
	for i, c := range row {
		gap := ""
		if i > 0 {
			gap = "  "
		}
		room := widths[i] - utf8.RuneCountInString(c.text)
		last := i == len(row)-1
		text := c.text
		if last && p.Width > 0 {
			text = cut(text, p.Width-column-len(gap))
		}
		line.WriteString(gap)
		right := strings.HasPrefix(t.heads[i], " ")
		if right {
			line.WriteString(strings.Repeat(" ", room))
		}
		line.WriteString(p.Paint(c.style, text))
		if !right && !last {
			line.WriteString(strings.Repeat(" ", room))
		}
		column += len(gap) + widths[i]
	}
	p.Line("%s", strings.TrimRight(line.String(), " "))
}

// cut shortens text to n columns.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	if n < 4 {
		return ""
	}
	return string([]rune(text)[:n-1]) + "…"
}
