package adaptivetest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

func account(a int) string { return fmt.Sprintf("ACC.%03d", a) }
func level(l int) string   { return fmt.Sprintf("L%05d", l) }

// code is the name of a period; begin its first day.
func (s *Server) code(p int) string { return s.month(p).Format("01/2006") }

func (s *Server) month(p int) time.Time {
	return time.Date(2025, time.Month(11+p), 1, 0, 0, 0, 0, time.UTC)
}

func (s *Server) begin(p int) time.Time {
	if s.o.Fiscal { // the fiscal year 2027 begins in February 2026
		return s.month(p).AddDate(0, -11, 0)
	}
	return s.month(p)
}

// cell is a number as the vendor writes it; "" is a blank.
func (s *Server) cell(version, account, lvl, period int) string {
	if len(s.set) > 0 {
		if c, ok := s.set[place(version, account, lvl, period)]; ok {
			return c
		}
	}
	n := s.luck(version, account, lvl, period)
	switch n % 10 {
	case 0:
		return ""
	case 1:
		return "0.0"
	}
	return strconv.FormatInt(int64(n>>20%2_000_000)-500_000, 10) + "." + strconv.FormatUint(10+n>>8%90, 10)
}

func (s *Server) luck(n ...int) uint64 {
	h := s.o.Seed + 0x9e3779b97f4a7c15
	for _, v := range n {
		h = (h ^ uint64(v)) * 0xbf58476d1ce4e5b9
		h ^= h >> 29
	}
	return h
}

// data writes the wide CSV of one version.
func (s *Server) data(w io.Writer, c call) {
	v := s.named(c)
	if v == nil {
		refuse(w, "error-invalid-version", "The version does not exist")
		return
	}
	if len(c.Accounts) == 0 || c.Span == nil {
		refuse(w, "error-missing-filter", "accounts and timeSpan are required")
		return
	}
	periods := s.periods(c)
	out := bufio.NewWriterSize(w, 64<<10)
	defer out.Flush()
	success, open, shut := "", "<![CDATA[", "]]>"
	if s.o.Normal || !c.Stream {
		success = ` success="true"`
	}
	text := io.Writer(out)
	if s.o.Text {
		open, shut, text = "", "", escaper{out}
	}
	fmt.Fprintf(out, `<?xml version="1.0" encoding="UTF-8"?><response%s><output>%s`, success, open)
	rows := s.csv(text, c, v, periods)
	fmt.Fprintf(out, "%s\n</output>", shut)
	if success == "" {
		fmt.Fprintf(out, `<status success="true" rowCountSent="%d"/>`, rows)
	}
	fmt.Fprint(out, "</response>")
}

// escaper writes text as XML does outside of CDATA.
type escaper struct{ w io.Writer }

func (e escaper) Write(p []byte) (int, error) {
	_, err := io.WriteString(e.w, escape(string(p)))
	return len(p), err
}

func (s *Server) named(c call) (found *Version) {
	if c.Version == nil {
		return nil
	}
	walk(s.tree, func(v *Version) {
		if v.Type != "VERSION_FOLDER" && v.Name == c.Version.Name {
			found = v
		}
	})
	return found
}

func walk(vs []*Version, visit func(*Version)) {
	for _, v := range vs {
		visit(v)
		walk(v.Children, visit)
	}
}

func (s *Server) periods(c call) (out []int) {
	in := false
	for p := range s.o.Periods {
		in = in || s.code(p) == c.Span.Start
		if in {
			out = append(out, p)
		}
		if s.code(p) == c.Span.End {
			return out
		}
	}
	return out
}

func (s *Server) csv(w io.Writer, c call, v *Version, periods []int) (rows int) {
	names := []string{"Account Name", "Account Code", "Level Name", "Level Code"}
	if s.o.CodeFirst {
		names[2], names[3] = names[3], names[2]
	}
	vendor := len(c.Dimensions) > 0
	if vendor {
		names = append(names, `"Vendor Code"`, `"Vendor Name"`)
	}
	for _, p := range periods {
		names = append(names, s.code(p))
	}
	fmt.Fprintln(w, strings.Join(names, ","))
	if s.empty[v.ID] {
		return 0
	}
	var line []byte
	for a := range s.o.Accounts {
		if !asked(c, account(a)) {
			continue
		}
		for l := range s.o.Levels {
			lvl := []string{`"Level, ` + strconv.Itoa(l) + `"`, `"` + level(l) + `"`}
			if s.o.CodeFirst {
				lvl[0], lvl[1] = lvl[1], lvl[0]
			}
			line = append(line[:0], `"Account `+strconv.Itoa(a)+` & more","`+account(a)+`",`+lvl[0]+","+lvl[1]...)
			if vendor {
				line = append(line, fmt.Sprintf(`,"V%d","Vendor ""%d"""`, l%2, l%2)...)
			}
			for _, p := range periods {
				cell := s.cell(v.ID, a, l, p)
				if cell == "" && c.Rules != nil && c.Rules.Blanks {
					cell = "B"
				}
				line = append(append(line, ','), cell...)
			}
			line = append(line, '\n')
			_, _ = w.Write(line)
			rows++
		}
	}
	return rows
}

func asked(c call, code string) bool {
	for _, a := range c.Accounts {
		if a.Code == code {
			return true
		}
	}
	return false
}
