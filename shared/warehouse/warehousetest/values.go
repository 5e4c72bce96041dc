package warehousetest

import (
	"math/big"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
)

// typed has a column of every type.
func typed() record.Table {
	return record.Table{Schema: "kit", Name: "typed", Mode: record.Merge, Key: []string{"id"}, Columns: []record.Column{
		{Name: "id", Type: record.Text},
		{Name: "big", Type: record.Number, Precision: 38, Scale: 18, Nullable: true},
		{Name: "digits", Type: record.Number, Precision: 38, Scale: 0, Nullable: true},
		{Name: "n", Type: record.Integer, Nullable: true},
		{Name: "ok", Type: record.Boolean, Nullable: true},
		{Name: "at", Type: record.Timestamp, Nullable: true},
		{Name: "on", Type: record.Date, Nullable: true},
		{Name: "doc", Type: record.Document, Nullable: true},
		{Name: "txt", Type: record.Text, Nullable: true},
	}}
}

var valueTests = []property{
	{"decimals are exact", func(s *store) {
		values := []string{"12345678901234567890.123456789012345678", "-12345678901234567890.123456789012345678", "0.000000000000000001", "-0.000000000000000001", "0", "99999999999999999999.999999999999999999", "0.1"}
		for i, v := range values {
			s.load(typed(), object("o"), []row{{"id": "1", "big": v}})
			got := s.rows(typed(), "big")
			if len(got) != 1 || !sameNumber(got[0], v) {
				s.Errorf("value %d: got %v, want %s", i, got, v)
			}
		}
		const digits = "-99999999999999999999999999999999999999"
		s.load(typed(), object("o"), []row{{"id": "1", "digits": digits}})
		equal(s, "38 digits", s.rows(typed(), "digits"), []string{digits})
	}},
	{"integers have 64 bits", func(s *store) {
		s.load(typed(), object("o"), []row{{"id": "1", "n": "9223372036854775807"}, {"id": "2", "n": "-9223372036854775808"}})
		equal(s, "rows", s.rows(typed(), "n"), []string{"-9223372036854775808", "9223372036854775807"})
	}},
	{"booleans", func(s *store) {
		s.load(typed(), object("o"), []row{{"id": "1", "ok": "true"}, {"id": "2", "ok": "false"}, {"id": "3"}})
		equal(s, "rows", s.rows(typed(), "id", "ok"), []string{"1|true", "2|false", "3|-"})
	}},
	{"times are UTC and have microseconds whatever the zone", func(s *store) {
		local := time.Local
		defer func() { time.Local = local }()
		for _, zone := range []*time.Location{time.UTC, time.FixedZone("east", 5*3600+1800), time.FixedZone("west", -11*3600)} {
			time.Local = zone
			s.now = s.now.In(zone)
			s.load(typed(), object("o"), []row{{"id": "1", "at": "2025-03-30 02:30:00.123456", "on": "2024-02-29"}, {"id": "2", "at": "1969-12-31 23:59:59.999999"}})
			for id, want := range map[string]time.Time{"1": time.Date(2025, 3, 30, 2, 30, 0, 123456000, time.UTC), "2": time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)} {
				var got, loaded time.Time
				s.must(s.w.DB().QueryRowContext(s.ctx, `SELECT "at", "_loaded_at" FROM `+full(typed())+` WHERE "id" = ?`, id).Scan(&got, &loaded))
				equal(s, "at "+zone.String(), got.UTC(), want)
				if loaded.UTC().After(s.now) || loaded.UTC().Before(start) {
					s.Errorf("_loaded_at in zone %s: got %s, want at most %s", zone, loaded.UTC(), s.now.UTC())
				}
			}
			equal(s, "date", s.query(`SELECT CAST("on" AS VARCHAR) FROM `+full(typed())+` WHERE "id" = '1'`), []string{"2024-02-29"})
			l := s.prepare(typed(), windowIn(zone), nil)
			res := s.commit(l)
			equal(s, "range_from", res.Slice.From, day(1))
			equal(s, "loaded_at", res.Slice.LoadedAt, l.Now.UTC())
		}
	}},
	{"documents keep every digit", func(s *store) {
		const doc = `{"a":12345678901234567890.1234567890,"b":[1,"x\"y",null],"c":{"ö":"\u00e9"}}`
		s.load(typed(), object("o"), []row{{"id": "1", "doc": doc}})
		got := s.rows(typed(), "doc")[0]
		for _, want := range []string{"12345678901234567890.123456789", `x\"y`, "null", "ö"} {
			if !strings.Contains(got, want) {
				s.Errorf("document %s does not hold %s", got, want)
			}
		}
	}},
	{"null is not the empty text", func(s *store) {
		s.load(typed(), object("o"), []row{{"id": "1", "txt": ""}, {"id": "2"}, {"id": "3", "txt": "null"}, {"id": "4", "txt": "NULL"}})
		equal(s, "rows", s.rows(typed(), "id", "txt"), []string{"1|", "2|-", "3|null", "4|NULL"})
	}},
	{"texts of all kinds and sizes", func(s *store) {
		texts := []string{strings.Repeat("long ", 800_000), "tab\tline\nquote\"back\\slash\r", "😀 e\u0301 \u200b", "'; DROP TABLE x; --", "$1 ? :a", " spaces "}
		var rows []row
		for i, v := range texts {
			rows = append(rows, row{"id": string(rune('a' + i)), "txt": v})
		}
		s.load(typed(), object("o"), rows)
		for i, want := range texts {
			var got string
			s.must(s.w.DB().QueryRowContext(s.ctx, `SELECT "txt" FROM `+full(typed())+` WHERE "id" = ?`, string(rune('a'+i))).Scan(&got))
			if got != want {
				s.Errorf("text %d of %d bytes came back as %d bytes", i, len(want), len(got))
			}
		}
	}},
	{"a line that does not fit is corrupt and nothing is visible", func(s *store) {
		s.load(typed(), object("o"), []row{{"id": "1", "n": "1"}})
		for col, bad := range map[string]string{"n": "oneSECRET", "big": "1.2.SECRET", "ok": "maybeSECRET", "at": "yesterdaySECRET", "on": "2025-02-30SECRET", "doc": `{"a":SECRET`} {
			l := s.prepare(typed(), object("p"), []row{{"id": "2"}, {"id": "3", col: bad}})
			st, err := s.w.Stage(s.ctx, l)
			if err == nil {
				_, _, err = st.Measure(s.ctx, nil)
				st.Close()
			}
			if s.is(err, fault.Corrupt, "p"); strings.Contains(err.Error(), "SECRET") {
				s.Errorf("the error repeats the value: %v", err)
			}
		}
		equal(s, "rows", s.rows(typed(), "id"), []string{"1"})
	}},
	{"a line that is no object is corrupt", func(s *store) {
		l := s.prepare(typed(), object("p"), []row{{"id": "2"}})
		for _, line := range []string{`{"id":"1","_seq":`, `nonsense`} {
			l.Files = []string{s.write(line)}
			st, err := s.w.Stage(s.ctx, l)
			if err == nil {
				_, _, err = st.Measure(s.ctx, nil)
				st.Close()
			}
			s.is(err, fault.Corrupt)
		}
	}},
	{"fewer lines than the manifest says are corrupt and nothing is visible", func(s *store) {
		l := s.prepare(table(record.Append), object("p"), people("1:a", "2:b", "3:c"))
		l.Files = l.Files[:1]
		st := s.stage(l)
		defer st.Close()
		_, err := st.Commit(s.ctx, nil)
		s.is(err, fault.Corrupt, "2 rows", "3 expected")
		equal(s, "rows", s.rows(l.Table, "id"), []string{})
	}},
	{"file tables carry object and row", func(s *store) {
		t := record.Table{Schema: "kit", Name: "file", Mode: record.Append, File: true, Columns: []record.Column{{Name: "v", Type: record.Text}}}
		s.load(t, object(`dir/it's a "file".csv`), []row{{"v": "a", "_row": "1"}, {"v": "b", "_row": "2", "_extra": `{"z":1}`}})
		equal(s, "rows", s.rows(t, "v", "_row", "_source"), []string{`a|1|dir/it's a "file".csv`, `b|2|dir/it's a "file".csv`})
	}},
}

func sameNumber(a, b string) bool {
	x, ok := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	return ok && ok2 && x.Cmp(y) == 0
}
