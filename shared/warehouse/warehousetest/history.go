package warehousetest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-data/millrace/shared/record"
)

// versions reads a history table as "id|name|from|to|seen", in days of the kit's
// calendar.
func (s *store) versions(t record.Table) []string {
	s.Helper()
	rows, err := s.w.DB().QueryContext(s.ctx, `SELECT "id", "name", "_valid_from", "_valid_to", "_seen_at" FROM `+full(t))
	s.must(err)
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var id, name string
		var from, seen time.Time
		var to *time.Time
		s.must(rows.Scan(&id, &name, &from, &to, &seen))
		end := "-"
		if to != nil {
			end = fmt.Sprint(dayOf(*to))
		}
		out = append(out, fmt.Sprintf("%s|%s|%d|%s|%d", id, name, dayOf(from), end, dayOf(seen)))
	}
	s.must(rows.Err())
	slices.Sort(out)
	return out
}

func dayOf(t time.Time) int { return int(t.Sub(start).Hours() / 24) }

// world is what the vendor held at each scan: day → id → name.
type world map[int]map[string]string

// versions is the model: per key, sightings in order of time, equal neighbours
// made one.
func (w world) versions() []string {
	out := []string{}
	last := map[string]int{} // id → index in out of its open version
	type version struct {
		id, name       string
		from, to, seen int
	}
	var all []version
	for _, d := range slices.Sorted(maps.Keys(w)) {
		for id, name := range w[d] {
			i, ok := last[id]
			if ok && all[i].name == name {
				all[i].seen = d
				continue
			}
			if ok {
				all[i].to = d
			}
			last[id] = len(all)
			all = append(all, version{id, name, d, -1, d})
		}
	}
	for _, v := range all {
		to := "-"
		if v.to >= 0 {
			to = fmt.Sprint(v.to)
		}
		out = append(out, fmt.Sprintf("%s|%s|%d|%s|%d", v.id, v.name, v.from, to, v.seen))
	}
	slices.Sort(out)
	return out
}

func (w world) rows(day int) []row {
	var out []row
	for _, id := range slices.Sorted(maps.Keys(w[day])) {
		out = append(out, row{"id": id, "name": w[day][id]})
	}
	return out
}

var historyTests = []property{
	{"a change closes one version and opens the next", func(s *store) {
		t := table(record.History)
		s.load(t, scan(1), people("1:a", "2:x"))
		s.load(t, scan(2), people("1:a", "2:y"))
		s.load(t, scan(3), people("1:b", "2:y"))
		equal(s, "versions", s.versions(t), []string{"1|a|1|3|2", "1|b|3|-|3", "2|x|1|2|1", "2|y|2|-|3"})
	}},
	{"a late slice falls inside a version", func(s *store) {
		t := table(record.History)
		s.load(t, scan(1), people("1:a"))
		s.load(t, scan(3), people("1:a"))
		equal(s, "before", s.versions(t), []string{"1|a|1|-|3"})
		s.load(t, scan(2), people("1:b"))
		equal(s, "after", s.versions(t), []string{"1|a|1|2|1", "1|a|3|-|3", "1|b|2|3|2"})
	}},
	{"a slice read again with other rows takes back what it said", func(s *store) {
		t := table(record.History)
		s.load(t, scan(1), people("1:a", "2:x"))
		s.load(t, scan(2), people("1:b", "2:x"))
		s.load(t, scan(2), people("1:a", "2:x"))
		equal(s, "versions", s.versions(t), []string{"1|a|1|-|2", "2|x|1|-|2"})
	}},
	{"a key that vanishes keeps its last version", func(s *store) {
		t := table(record.History)
		s.load(t, scan(1), people("1:a", "2:x"))
		s.load(t, scan(2), people("1:a"))
		equal(s, "versions", s.versions(t), []string{"1|a|1|-|2", "2|x|1|-|1"})
	}},
	{"null is a value like others", func(s *store) {
		t := table(record.History)
		for d, r := range []row{{"id": "1", "name": "a"}, {"id": "1"}, {"id": "1"}, {"id": "1", "name": "a"}} {
			s.load(t, scan(d+1), []row{r})
		}
		equal(s, "versions", s.query(`SELECT count(*), count("name"), count("_valid_to") FROM `+full(t)), []string{"3|2|2"})
	}},
	{"windows may come late by one", func(s *store) {
		t := table(record.History)
		for _, d := range []int{0, 2, 1, 4, 3} {
			s.load(t, window(d, d+1), people(fmt.Sprintf("1:%d", d%2)))
		}
		equal(s, "versions", s.versions(t), []string{"1|0|1|2|1", "1|0|3|4|3", "1|0|5|-|5", "1|1|2|3|2", "1|1|4|5|4"})
	}},
	{"a file loaded again adds no version", func(s *store) {
		t := table(record.History)
		s.load(t, object("a"), people("1:a"))
		s.load(t, object("a"), people("1:a"))
		equal(s, "versions", s.rows(t, "id", "name", "_valid_to"), []string{"1|a|-"})
	}},
	{"scans in any order and twice give the same versions", func(s *store) {
		n := 0
		rapid.Check(s.T, func(r *rapid.T) {
			n++
			t := table(record.History)
			t.Name = fmt.Sprintf("h%d", n)
			w, order := draw(r)
			for _, d := range order {
				s.load(t, scan(d), w.rows(d))
			}
			if got, want := s.versions(t), w.versions(); fmt.Sprint(got) != fmt.Sprint(want) {
				r.Fatalf("scans of days %v\n got %v\nwant %v", order, got, want)
			}
		})
	}},
}

// draw makes up to five daily scans, in which keys are born and change, maybe die,
// but do not rise again, and an order with repeats.
func draw(r *rapid.T) (world, []int) {
	w := world{}
	days := rapid.IntRange(1, 5).Draw(r, "days")
	for d := 1; d <= days; d++ {
		w[d] = map[string]string{}
	}
	for _, id := range []string{"1", "2"} {
		born := rapid.IntRange(1, days).Draw(r, "born")
		died := rapid.IntRange(born, days).Draw(r, "died")
		for d := born; d <= died; d++ {
			w[d][id] = rapid.SampledFrom([]string{"a", "b"}).Draw(r, "name")
		}
	}
	order := rapid.Permutation(slices.Sorted(maps.Keys(w))).Draw(r, "order")
	return w, append(order, rapid.SliceOfN(rapid.IntRange(1, days), 0, 2).Draw(r, "again")...)
}
