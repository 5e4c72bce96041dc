package zuorarevenuetest

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed columns.txt
var columnsText string

// stamp is how the twin writes times; the sheet assumes it of the vendor.
const stamp = "2006-01-02 15:04:05"

// view is a BI view with its rows. Row i is made from i; what was edited, deleted
// or added since is kept as a log, so that every token sees the rows of its time.
type view struct {
	name    string
	key     []string
	columns []string
	n       int // rows there ever were

	changes map[int][]change // by row, oldest first
	grown   []growth         // how n and columns grew, oldest first
}

type change struct {
	version int
	gone    bool
	cells   map[string]string // all edits up to this version
}

type growth struct {
	version, n int
	columns    []string
}

// views reads columns.txt.
func views() map[string]*view {
	out := map[string]*view{}
	for line := range strings.Lines(columnsText) {
		if f := strings.Split(strings.TrimSpace(line), " | "); len(f) == 3 {
			name := strings.TrimSuffix(f[0], " ?")
			out[name] = &view{name: name, key: strings.Split(f[1], ","), columns: strings.Split(f[2], ","), changes: map[int][]change{}}
		}
	}
	return out
}

// at is how a view stood at a version: its rows and its columns.
func (v *view) at(version int) (n int, columns []string) {
	for _, g := range v.grown {
		if g.version <= version {
			n, columns = g.n, g.columns
		}
	}
	return n, columns
}

func (v *view) grow(version int) {
	v.grown = append(v.grown, growth{version, v.n, slices.Clone(v.columns)})
}

// change returns the last change of row i up to a version.
func (v *view) change(i, version int) (last change) {
	for _, c := range v.changes[i] {
		if c.version <= version {
			last = c
		}
	}
	return last
}

// maker writes the cells of one view's rows as they were at one version.
type maker struct {
	v       *view
	version int
	seed    uint64
	from    time.Time     // of the first row's INCR_UPDT_DT
	step    time.Duration // from one row's to the next
	columns []string
	kinds   []byte // of each column: how its cells are made
	days    []string
	updated int // index of incr_updt_dt
}

func (s *Server) maker(v *view, version int) *maker {
	_, columns := v.at(version)
	m := &maker{v: v, version: version, seed: s.o.Seed + uint64(len(v.name)), from: s.o.From, columns: columns,
		step: s.o.To.Sub(s.o.From) / time.Duration(max(s.o.rows(v.name), 1)), updated: slices.Index(columns, "incr_updt_dt")}
	for _, c := range columns {
		m.kinds = append(m.kinds, v.kind(c))
	}
	for i := range 900 { // made once: they are half of all cells
		m.days = append(m.days, s.o.From.AddDate(0, 0, -i).Format("2006-01-02 00:00:00"))
	}
	return m
}

// kind says what a column's cells look like, by its name.
func (v *view) kind(column string) byte {
	switch i := slices.Index(v.key, column); {
	case i > 0 && i == len(v.key)-1:
		return 'K'
	case i >= 0:
		return 'k'
	case column == "incr_updt_dt":
		return 'u'
	case column == "client_id" || column == "sec_atr_val":
		return '1'
	case column == "cust_num":
		return 'n'
	case column == "cstmr_nm":
		return 'N'
	}
	for suffix, kind := range map[string]byte{"_dt": 'd', "_date": 'd', "_time": 'd', "_id": 'i', "flag": 'f', "amt": 'a', "amount": 'a',
		"prc": 'a', "rate": 'a', "qty": 'a', "pct": 'a', "balance": 'a', "comment": 'c', "comments": 'c', "desc": 'c', "description": 'c'} {
		if strings.HasSuffix(column, suffix) {
			return kind
		}
	}
	return 'w'
}

// updatedAt is the row's INCR_UPDT_DT.
func (m *maker) updatedAt(i int) string {
	if c, ok := m.v.change(i, m.version).cells["incr_updt_dt"]; ok {
		return c
	}
	return m.from.Add(time.Duration(i) * m.step).Format(stamp)
}

// line appends row i as CSV.
func (m *maker) line(dst []byte, i int) []byte {
	edits := m.v.change(i, m.version).cells
	for c := range m.columns {
		if c > 0 {
			dst = append(dst, ',')
		}
		if text, ok := edits[m.columns[c]]; ok {
			dst = quoted(dst, text)
			continue
		}
		dst = m.cell(dst, i, c)
	}
	return append(dst, '\n')
}

// cell appends a cell that nobody edited. About one in nine is empty, and a few
// comments need quotes.
func (m *maker) cell(dst []byte, i, c int) []byte {
	h := mix(m.seed ^ uint64(i)*0x9e3779b97f4a7c15 ^ uint64(c)<<40)
	switch m.kinds[c] {
	case 'k':
		per := 1
		if len(m.v.key) > 1 {
			per = 2 // two rows share all but the last part of the key
		}
		return strconv.AppendInt(dst, int64(40001+i/per), 10)
	case 'K':
		return append(dst, "LR"[i%2])
	case 'u':
		return append(dst, m.updatedAt(i)...)
	case '1':
		return append(dst, '1')
	case 'n':
		return strconv.AppendInt(append(dst, "C-"...), int64(10_001+m.customer(i)), 10)
	case 'N':
		return strconv.AppendInt(append(dst, "Client "...), int64(m.customer(i)), 10)
	}
	if h%9 == 0 {
		return dst
	}
	switch h >>= 8; m.kinds[c] {
	case 'd':
		return append(dst, m.days[h%uint64(len(m.days))]...)
	case 'i':
		return strconv.AppendUint(dst, h%100_000, 10)
	case 'f':
		return append(dst, "NY"[h%2])
	case 'a':
		return strconv.AppendFloat(dst, float64(h%10_000_000)/100-20_000, 'f', 2, 64)
	case 'c':
		return quoted(dst, comments[h%uint64(len(comments))])
	}
	return append(dst, words[h%uint64(len(words))]...)
}

// customers is how many customers there are; a twin of the academy that has as many
// clients has them under the same names and numbers.
const customers = 200

// customer is whose row i is: most have several.
func (m *maker) customer(i int) int {
	return int(mix(m.seed^uint64(i)*0x9e3779b97f4a7c15) % customers)
}

var words = []string{"REV-2025", "Standard", "EUR", "USD", "Übertrag", "POB 17", "net 30", "=SUM(A1)", "x|y", "NULL"}

var comments = []string{"checked", "Awaiting PO, see ticket", "two\nlines", `says "ok"`, "a;b", "ends with a comma,", "\r\n"}

// quoted appends a cell, in quotes where RFC 4180 wants them.
func quoted(dst []byte, text string) []byte {
	if !strings.ContainsAny(text, ",\"\r\n") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(text, `"`, `""`)...)
	return append(dst, '"')
}

// mix is splitmix64's finisher.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Edit sets cells of a row, 0 being the first there ever was, and its INCR_UPDT_DT
// to the vendor's clock unless cells name that too. Pages of tokens given out
// before do not show it.
func (s *Server) Edit(view string, row int, cells map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view(view)
	s.version++
	all := maps.Clone(v.change(row, s.version).cells)
	if all == nil {
		all = map[string]string{}
	}
	all["incr_updt_dt"] = s.o.Now().UTC().Format(stamp)
	maps.Copy(all, cells)
	v.changes[row] = append(v.changes[row], change{version: s.version, cells: all})
}

// Add appends n rows to a view, updated now.
func (s *Server) Add(view string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(s.view(view), n, nil)
}

func (s *Server) add(v *view, n int, cells map[string]string) {
	s.version++
	for range n {
		all := map[string]string{"incr_updt_dt": s.o.Now().UTC().Format(stamp)}
		maps.Copy(all, cells)
		v.changes[v.n] = append(v.changes[v.n], change{version: s.version, cells: all})
		v.n++
	}
	v.grow(s.version)
}

// Delete removes a row. A schedule's leaves a row in BI3_RC_SCHD_DEL, as the
// vendor does for schedules and for nothing else, and takes the schedule's other
// rows along.
func (s *Server) Delete(view string, row int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view(view)
	rows := []int{row}
	if v.name == "BI3_RC_SCHD" {
		first := row - row%2
		rows = []int{first, first + 1}
		now := s.o.Now().UTC().Format(stamp)
		s.add(s.view("BI3_RC_SCHD_DEL"), 1, map[string]string{"schd_id": strconv.Itoa(40001 + row/2), "deleted_time": now})
	}
	s.version++
	for _, i := range rows {
		v.changes[i] = append(v.changes[i], change{version: s.version, gone: true})
	}
}

// AddColumn gives a view one more column, as a quarterly release does; tokens given
// out before do not have it.
func (s *Server) AddColumn(view, column string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view(view)
	s.version++
	v.columns = append(v.columns, column)
	v.grow(s.version)
}

func (s *Server) view(name string) *view {
	v := s.views[strings.ToUpper(name)]
	if v == nil {
		panic(fmt.Sprintf("zuorarevenuetest: there is no view %s", name))
	}
	return v
}
