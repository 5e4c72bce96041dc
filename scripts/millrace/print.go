package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"encoding/json"
)

// print writes the one JSON document of a command.
func (a *app) print(v any) error {
	a.answered = true
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// say writes a line for people, as part of the result.
func (a *app) say(format string, args ...any) {
	a.answered = true
	fmt.Fprintf(a.out, format+"\n", args...)
}

// grid is a table for people. text/tabwriter aligns all columns to one side;
// figures are read from the right and words from the left.
type grid struct {
	right []bool // columns of figures
	rows  [][]string
}

// newGrid takes the headings; those that end in # are columns of figures.
func newGrid(headings ...string) *grid {
	g := &grid{}
	for i, h := range headings {
		head, figures := strings.CutSuffix(h, "#")
		g.right = append(g.right, figures)
		headings[i] = head
	}
	g.row(headings...)
	return g
}

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

func (g *grid) write(w io.Writer) error {
	widths := make([]int, len(g.right))
	for _, row := range g.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range g.rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if g.right[i] {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// figure writes 1234567 as 1,234,567.
func figure[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted is a number of things: 1 row, 2 rows.
func counted[N int | int64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return figure(n) + " " + what
}

// paused says until when, where a command is to be run again.
func (a *app) paused(until *time.Time) {
	if until != nil {
		a.say("paused until %s: run the same command again then", until.Format(time.RFC3339))
	}
}

// instant is a time for people: a date where it is midnight, "-" where there is none.
func instant(t *time.Time) string {
	switch {
	case t == nil || t.IsZero():
		return "-"
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.UTC().Format(time.DateOnly)
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// span is a duration for people, in its two largest units.
func spell(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
}

// short cuts a text for a cell or a line.
func short(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
