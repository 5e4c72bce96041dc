package snowflaketest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// formatOf is the options of FILE_FORMAT = (…).
func formatOf(toks []token) map[string]string {
	out := map[string]string{}
	at := slices.IndexFunc(toks, func(t token) bool { return t.is("FILE_FORMAT") })
	if at < 0 {
		return out
	}
	open := at + 1
	if open < len(toks) && toks[open].is("=") {
		open++
	}
	if open >= len(toks) || !toks[open].is("(") {
		return out
	}
	for i, end := open, closing(toks, open); i+3 <= end; i++ {
		if toks[i+1].kind == word && toks[i+2].is("=") && i+3 < end {
			out[toks[i+1].text] = strings.ToUpper(toks[i+3].text)
		}
	}
	return out
}

// copying is a COPY INTO a table.
type copying struct {
	into    table
	cols    []string // engine names; nil = all
	exprs   [][]token
	from    reference
	files   []string
	pattern *regexp.Regexp
	format  map[string]string
	onError string
	match   string
	force   bool
	purge   bool
}

// copyOptions is what may follow; a misspelt one must not pass.
var copyOptions = []string{"FILES", "PATTERN", "FILE_FORMAT", "ON_ERROR", "FORCE", "PURGE", "MATCH_BY_COLUMN_NAME", "SIZE_LIMIT", "LOAD_UNCERTAIN_FILES", "RETURN_FAILED_ONLY", "TRUNCATECOLUMNS", "ENFORCE_LENGTH"}

// parseCopy reads a COPY INTO.
func (s *session) parseCopy(toks []token) (c copying, err error) {
	if !words(toks, "COPY", "INTO") || len(toks) > 2 && toks[2].kind == stageRef {
		return c, syntax("this fake copies INTO tables only.")
	}
	var at int
	if c.into, at, err = s.tableAt(toks, 2); err != nil {
		return c, err
	}
	if at < len(toks) && toks[at].is("(") {
		end := closing(toks, at)
		for _, item := range split(toks[at+1 : end]) {
			c.cols = append(c.cols, spell(item[0]))
		}
		at = end + 1
	}
	if at+1 >= len(toks) || !toks[at].is("FROM") {
		return c, syntax("COPY INTO without FROM.")
	}
	at++
	ref := toks[at]
	if ref.is("(") {
		end := closing(toks, at)
		from := find(toks[at+1:end], 0, "FROM")
		if from < 0 || !toks[at+1].is("SELECT") || at+from+2 >= end {
			return c, syntax("COPY INTO … FROM (SELECT … FROM @stage).")
		}
		c.exprs = split(toks[at+2 : at+1+from])
		ref, at = toks[at+from+2], end
	}
	if ref.kind != stageRef && ref.kind != text {
		return c, syntax("COPY INTO reads from a stage.")
	}
	if c.from, err = s.findStage(ref.text); err != nil {
		return c, err
	}
	return c, c.options(toks[at+1:])
}

func (c *copying) options(toks []token) error {
	for i := 0; i+1 < len(toks); i++ {
		if !toks[i+1].is("=") {
			return syntax("unexpected '%s'.", toks[i].text)
		}
		if !slices.Contains(copyOptions, toks[i].text) {
			return fail("001006", "42000", "SQL compilation error:\ninvalid parameter '%s'", toks[i].text)
		}
		if i += 2; i < len(toks) && toks[i].is("(") {
			i = closing(toks, i)
		}
	}
	c.format = map[string]string{}
	for _, f := range []map[string]string{c.from.stage.format, formatOf(toks)} {
		for k, v := range f {
			c.format[k] = v
		}
	}
	if t := c.format["TYPE"]; t != "JSON" {
		return syntax("this fake copies files of TYPE = JSON only, not '%s'.", t)
	}
	for i := range toks {
		if toks[i].is("FILES") && i+2 < len(toks) && toks[i+2].is("(") {
			for _, f := range split(toks[i+3 : closing(toks, i+2)]) {
				c.files = append(c.files, f[0].text)
			}
		}
	}
	if len(c.files) > 1000 {
		return fail("001003", "42000", "SQL compilation error:\nthe number of FILES %d exceeds the maximum of 1000", len(c.files))
	}
	if p := property(toks, "PATTERN"); p != "" {
		re, err := regexp.Compile("^(?:" + p + ")$")
		if err != nil {
			return syntax("PATTERN: %v", err)
		}
		c.pattern = re
	}
	c.onError = strings.ToUpper(property(toks, "ON_ERROR"))
	if c.onError != "" && c.onError != "ABORT_STATEMENT" && c.onError != "SKIP_FILE" {
		return syntax("ON_ERROR = %s is not known to this fake.", c.onError)
	}
	c.force = strings.EqualFold(property(toks, "FORCE"), "TRUE")
	c.purge = strings.EqualFold(property(toks, "PURGE"), "TRUE")
	c.match = strings.ToUpper(property(toks, "MATCH_BY_COLUMN_NAME"))
	return nil
}

// chosen is the files that the COPY reads.
func (s *session) chosen(c copying) (out []staged, err error) {
	all := s.srv.stages
	if c.files == nil {
		out, err = all.files(c.from)
		if c.pattern != nil {
			out = slices.DeleteFunc(out, func(f staged) bool { return !c.pattern.MatchString(f.name) })
		}
		return out, err
	}
	for _, name := range c.files {
		f, ok, err := all.file(c.from, name)
		if err != nil {
			return nil, err
		}
		if !ok {
			if c.onError == "SKIP_FILE" {
				continue
			}
			return nil, fail("091016", "22000", "Remote file '%s%s' was not found. If you are running a copy command, please make sure files are not deleted when they are being loaded or files are not being loaded into two different tables concurrently with auto purge option.", c.from.path, name)
		}
		out = append(out, f)
	}
	return out, nil
}

// outcome is one line of what COPY says.
type outcome struct {
	file, status string
	rows, loaded int64
	err          *failure
	line         int64
}

func (s *session) doCopy(ctx context.Context, st statement) (*answer, error) {
	c, err := s.parseCopy(st.toks)
	if err != nil {
		return nil, err
	}
	if err := s.columnsFor(ctx, &c); err != nil {
		return nil, err
	}
	files, err := s.chosen(c)
	if err != nil {
		return nil, err
	}
	var out []outcome
	var fresh []staged
	for _, f := range files {
		key := c.key(f)
		if !c.force && (s.srv.history.has(c.into, key) || s.copied[c.into.String()+key]) {
			if c.files != nil {
				out = append(out, outcome{file: c.says(f), status: "LOAD_SKIPPED", err: fail("", "", "File was loaded before.")})
			}
			continue
		}
		fresh = append(fresh, f)
	}
	if len(fresh) > 0 {
		loaded, err := s.load(ctx, c, fresh)
		if err != nil {
			return nil, err
		}
		out = append(out, loaded...)
	}
	s.remember(c, fresh, out)
	return copied(out), nil
}

// load inserts the files' rows, all in one step.
func (s *session) load(ctx context.Context, c copying, files []staged) (out []outcome, err error) {
	var good []staged
	for _, f := range files {
		if c.onError == "SKIP_FILE" { // a file that would fail is found beforehand
			if line, fault := s.misfit(ctx, c, f, nil); fault != nil {
				out = append(out, outcome{file: c.says(f), status: "LOAD_FAILED", err: fault, line: line})
				continue
			}
		}
		good = append(good, f)
	}
	counts := make([]int64, len(good))
	err = s.write(ctx, func(ctx context.Context) error {
		for i, f := range good {
			q, err := s.source(c, f, "")
			if err != nil {
				return err
			}
			list := make([]string, len(c.cols))
			for j, col := range c.cols {
				list[j] = quote(col)
			}
			res, err := s.conn.ExecContext(ctx, "INSERT INTO "+s.place(c.into)+" ("+strings.Join(list, ", ")+") "+q)
			if err != nil {
				if ctx.Err() == nil && !conflict(err) {
					_, fault := s.misfit(ctx, c, f, err)
					return fault
				}
				return err
			}
			counts[i], _ = res.RowsAffected()
		}
		return nil
	})
	for i, f := range good {
		out = append(out, outcome{file: c.says(f), status: "LOADED", rows: counts[i], loaded: counts[i]})
	}
	return out, err
}

// remember notes what was loaded, once it is committed.
func (s *session) remember(c copying, files []staged, out []outcome) {
	loaded := map[string]bool{}
	for _, o := range out {
		loaded[o.file] = o.status == "LOADED"
	}
	for _, f := range files {
		if !loaded[c.says(f)] {
			continue
		}
		note := func() {
			s.srv.history.add(c.into, c.key(f))
			if c.purge && c.from.stage.url == "" {
				os.Remove(f.path)
			}
		}
		if !s.open {
			note()
			continue
		}
		if s.copied == nil {
			s.copied = map[string]bool{}
		}
		s.copied[c.into.String()+c.key(f)] = true
		s.after = append(s.after, note)
	}
}

func (c copying) key(f staged) string {
	return c.from.stage.url + c.from.stage.folder + "/" + f.name + "#" + f.tag
}

// says is a file's name in what COPY says.
func (c copying) says(f staged) string {
	if c.from.stage.url != "" {
		return strings.TrimSuffix(c.from.stage.url, "/") + "/" + f.name
	}
	parts, _ := names(lex(c.from.words))
	if len(parts) == 0 {
		return f.name
	}
	return strings.ToLower(decode(parts[len(parts)-1])) + "/" + f.name
}

// copied is the lines as a result.
func copied(out []outcome) *answer {
	if len(out) == 0 {
		return done(typeCopy, "Copy executed with 0 files processed.")
	}
	a := &answer{kind: typeCopy, cols: []column{textColumn("file"), textColumn("status"), wholeColumn("rows_parsed"), wholeColumn("rows_loaded"), wholeColumn("error_limit"), wholeColumn("errors_seen"),
		textColumn("first_error"), wholeColumn("first_error_line"), wholeColumn("first_error_character"), textColumn("first_error_column_name")}}
	for _, o := range out {
		n := func(v int64) *string { s := strconv.FormatInt(v, 10); return &s }
		row := []*string{&o.file, &o.status, n(o.rows), n(o.loaded), n(1), n(0), nil, nil, nil, nil}
		if o.err != nil {
			row[5], row[6], row[7], row[8] = n(1), &o.err.message, n(o.line), n(1)
		}
		a.rows = append(a.rows, row)
	}
	return a
}

// source is the query for a file's rows; where limits the lines, by SF_ROW.
func (s *session) source(c copying, f staged, where string) (string, error) {
	packed, err := compression(f.path, c.format["COMPRESSION"])
	if err != nil {
		return "", err
	}
	format := "newline_delimited"
	if c.format["STRIP_OUTER_ARRAY"] == "TRUE" {
		format = "array"
	}
	exprs := make([]string, len(c.exprs))
	for i, e := range c.exprs {
		e = slices.Clone(e)
		for j := range e {
			switch {
			case e[j].is("$1"):
				e[j] = token{kind: word, text: "SF_DOC"}
			case e[j].is("METADATA$FILENAME"):
				e[j] = token{kind: text, text: f.name}
			case e[j].is("METADATA$FILE_ROW_NUMBER"):
				e[j] = raws("CAST(SF_ROW AS DECIMAL(38,0))")
			}
		}
		exprs[i], _ = render(s.engine(e))
	}
	return fmt.Sprintf("SELECT %s FROM (SELECT * FROM (SELECT json AS SF_DOC, row_number() OVER () AS SF_ROW FROM read_json_objects(%s, format = '%s', compression = '%s', maximum_object_size = 33554432)) %s) AS SF_LINES",
		strings.Join(exprs, ", "), literal(f.path), format, strings.Replace(packed, "none", "uncompressed", 1), where), nil
}

// compression looks into the file: what is declared must be so.
func compression(path, declared string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 4)
	f.Read(head)
	is := "none"
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		is = "gzip"
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		is = "zstd"
	}
	if declared != "" && declared != "AUTO" && strings.ToLower(declared) != is {
		return "", fail("100163", "22000", "Invalid data encountered during decompression for file with compression '%s'", declared)
	}
	return is, nil
}
