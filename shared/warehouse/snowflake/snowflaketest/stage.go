package snowflaketest

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// stages is the named stages of all sessions, and the files in internal ones.
type stages struct {
	dir      string
	external map[string]string
	mu       sync.Mutex
	named    map[table]stage
}

// stage is where files lie.
type stage struct {
	folder string // of an internal stage, under the stages' own
	url    string // of an external one
	format map[string]string
}

// staged is one file in a stage.
type staged struct {
	name string // below the stage
	path string // on this machine, where it was fetched
	tag  string // changes with the content
	size int64
	at   time.Time
}

func newStages(dir string, external map[string]string) *stages {
	return &stages{dir: dir, external: external, named: map[table]stage{}}
}

// folder is a stage's own place, under a name that any stage name can have.
func folder(name string) string {
	h := sha256.Sum256([]byte(name))
	return hex.EncodeToString(h[:8])
}

// stageRef is a reference like @db.schema.stage/some/path.
type reference struct {
	stage stage
	path  string // below the stage, without leading slash
	words string
}

// find reads a reference; the stage must exist.
func (s *session) findStage(ref string) (r reference, err error) {
	ref = strings.TrimPrefix(ref, "@")
	in, cut := false, len(ref)
	for i, c := range ref {
		if c == '"' {
			in = !in
		}
		if c == '/' && !in {
			cut = i
			break
		}
	}
	name := ref[:cut]
	r.path, r.words = strings.TrimPrefix(ref[cut:], "/"), name
	switch {
	case name == "~":
		r.stage = stage{folder: "user"}
		return r, nil
	case strings.Contains(name, "%"):
		at := strings.Index(name, "%")
		parts, _ := names(lex(name[:at] + name[at+1:]))
		if len(parts) == 0 {
			return r, syntax("stage '@%s'.", name)
		}
		t := s.resolve(parts)
		if !s.exists(t) {
			return r, missing("Table", t.words())
		}
		r.stage = stage{folder: folder("%" + t.String())}
		return r, nil
	}
	parts, _ := names(lex(name))
	if len(parts) == 0 {
		return r, syntax("stage '@%s'.", name)
	}
	t := s.resolve(parts)
	st, ok := s.stages[t]
	if !ok {
		st, ok = s.srv.stages.get(t)
	}
	if !ok {
		return r, missing("Stage", t.words())
	}
	r.stage = st
	return r, nil
}

// createStage notes a stage; SYSTEM$BIND is one like others.
func (s *session) createStage(ctx context.Context, st statement, c created) (*answer, error) {
	t := s.resolve(c.name)
	if len(c.name) > 1 && !s.hasSchema(t) {
		return nil, missing("Schema", t.db+"."+t.schema)
	}
	if err := s.define(ctx, nil); err != nil {
		return nil, err
	}
	one := stage{url: property(st.toks[c.next:], "URL"), folder: folder(t.String() + strconv.FormatInt(time.Now().UnixNano(), 36)), format: formatOf(st.toks[c.next:])}
	_, there := s.stages[t]
	if !c.temporary {
		_, there = s.srv.stages.get(t)
	}
	switch {
	case there && c.ifNot:
		return done(typeDDL, "%s already exists, statement succeeded.", decode(t.name)), nil
	case there && !c.replace:
		return nil, fail("002002", "42710", "SQL compilation error:\nObject '%s' already exists.", t.words())
	case c.temporary:
		s.stages[t] = one
	default:
		s.srv.stages.put(t, one)
	}
	return done(typeDDL, "Stage area %s successfully created.", decode(t.name)), nil
}

func (all *stages) get(t table) (stage, bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	one, ok := all.named[t]
	return one, ok
}

func (all *stages) put(t table, one stage) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.named[t] = one
}

// dropStage forgets a stage and its files.
func (s *session) dropStage(t table) bool {
	one, ok := s.stages[t]
	delete(s.stages, t)
	if !ok {
		if one, ok = s.srv.stages.get(t); ok {
			s.srv.stages.mu.Lock()
			delete(s.srv.stages.named, t)
			s.srv.stages.mu.Unlock()
		}
	}
	if ok && one.url == "" {
		os.RemoveAll(filepath.Join(s.srv.stages.dir, one.folder))
	}
	return ok
}

var putLine = regexp.MustCompile(`(?is)^(?:\s*/\*.*?\*/)*\s*PUT\s+(?:'(file://[^']*)'|(file://\S+))\s+(?:'(@[^']*)'|(@(?:"[^"]*"|[^\s;"])+))\s*(.*)$`)

// transfer answers PUT: it tells the driver where to send the files. The driver
// asks once for all of them and then for each.
func (s *session) transfer(sql string) (*answer, error) {
	m := putLine.FindStringSubmatch(sql)
	if m == nil {
		return nil, syntax("this fake knows PUT file://… @stage, and no GET.")
	}
	src, dst, options := m[1]+m[2], m[3]+m[4], lex(m[5])
	src = strings.ReplaceAll(src, `\\`, `\`)
	ref, err := s.findStage(dst)
	if err != nil {
		return nil, err
	}
	if ref.stage.url != "" {
		return nil, fail("001011", "42601", "SQL compilation error:\nCannot upload to external stage '%s'.", ref.words)
	}
	compress := !strings.EqualFold(property(options, "AUTO_COMPRESS"), "FALSE")
	source := strings.ToLower(property(options, "SOURCE_COMPRESSION"))
	if source == "" {
		source = "auto_detect"
	}
	file := strings.TrimPrefix(src, "file://")
	dir := path.Join(ref.stage.folder, ref.path)
	at := url.URL{Scheme: "http", Host: s.srv.addr.String(), Path: "/stage/" + dir + "/" + path.Base(filepath.ToSlash(file))}
	// What the driver compresses gets .gz, which the URL of the service lacks, too.
	at.RawQuery = url.Values{"gzip": {strconv.FormatBool(compress && source == "auto_detect")}}.Encode()
	return &answer{kind: typeSelect, more: map[string]any{
		"command": "UPLOAD", "operation": "Node", "src_locations": []string{file}, "autoCompress": compress, "parallel": 1,
		"overwrite": true, "sourceCompression": source, "encryptionMaterial": map[string]any{},
		"stageInfo": map[string]any{"locationType": "GCS", "location": dir, "path": dir, "isClientSideEncrypted": false, "creds": map[string]any{}, "presignedUrl": at.String()},
	}}, nil
}

// serve keeps what the driver sends; the whole file or nothing.
func (all *stages) serve(w http.ResponseWriter, r *http.Request) {
	name := filepath.Join(all.dir, filepath.FromSlash(path.Clean("/"+strings.TrimPrefix(r.URL.Path, "/stage/"))))
	if r.Method != http.MethodPut {
		http.Error(w, "only PUT", http.StatusMethodNotAllowed)
		return
	}
	if err := all.keep(name, r.Body, r.URL.Query().Get("gzip") == "true"); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (all *stages) keep(name string, body io.Reader, mayZip bool) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(all.dir, "put-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	head := make([]byte, 2)
	_, err = io.Copy(f, body)
	f.ReadAt(head, 0)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if mayZip && head[0] == 0x1f && head[1] == 0x8b && !strings.HasSuffix(name, ".gz") {
		name += ".gz"
	}
	return os.Rename(f.Name(), name)
}

// files lists what lies below a reference, in order of names.
func (all *stages) files(r reference) ([]staged, error) {
	root := filepath.Join(all.dir, r.stage.folder)
	if r.stage.url != "" {
		place, rest, ok := all.mapped(r.stage.url)
		if !ok || strings.HasPrefix(place, "http") {
			return nil, fail("003167", "42601", "the files of stage @%s cannot be listed: map its URL to a folder in Options.External, or name FILES", r.words)
		}
		root = filepath.Join(place, filepath.FromSlash(rest))
	}
	var out []staged
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		name, _ := filepath.Rel(root, p)
		if name = filepath.ToSlash(name); strings.HasPrefix(name, r.path) {
			one, err := stat(p, name)
			out = append(out, one)
			return err
		}
		return nil
	})
	slices.SortFunc(out, func(a, b staged) int { return strings.Compare(a.name, b.name) })
	return out, err
}

func stat(p, name string) (staged, error) {
	f, err := os.Open(p)
	if err != nil {
		return staged{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	info, _ := f.Stat()
	return staged{name: name, path: p, tag: hex.EncodeToString(h.Sum(nil)[:16]), size: n, at: info.ModTime()}, err
}

// file is one named file of a stage; ok is false where it is not there.
func (all *stages) file(r reference, name string) (one staged, ok bool, err error) {
	full := path.Join("/", r.path+name)[1:]
	p := filepath.Join(all.dir, r.stage.folder, filepath.FromSlash(full))
	if r.stage.url != "" {
		place, rest, known := all.mapped(r.stage.url)
		if !known {
			return one, false, fail("003167", "42601", "the URL %s of stage @%s is mapped to nothing: see Options.External", r.stage.url, r.words)
		}
		if strings.HasPrefix(place, "http") {
			if p, ok, err = all.fetch(strings.TrimSuffix(place, "/") + "/" + escapePath(rest+full)); !ok || err != nil {
				return one, false, err
			}
		} else {
			p = filepath.Join(place, filepath.FromSlash(rest+full))
		}
	}
	if info, err := os.Stat(p); err != nil || info.IsDir() {
		return one, false, nil
	}
	one, err = stat(p, full)
	return one, err == nil, err
}

func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// mapped finds the local place of an external URL, and what of the URL is below it.
func (all *stages) mapped(u string) (place, rest string, ok bool) {
	best := ""
	for prefix, p := range all.external {
		if strings.HasPrefix(u, prefix) && len(prefix) > len(best) {
			best, place, ok = prefix, p, true
		}
	}
	return place, strings.TrimPrefix(u, best), ok
}

// fetch gets an object over HTTP into a file.
func (all *stages) fetch(u string) (string, bool, error) {
	resp, err := http.Get(u)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return "", false, nil
	}
	if resp.StatusCode != http.StatusOK {
		return "", false, fmt.Errorf("external stage: %s", resp.Status)
	}
	p := filepath.Join(all.dir, "fetched", folder(u)+path.Ext(strings.SplitN(u, "?", 2)[0]))
	return p, true, all.keep(p, resp.Body, false)
}

// stagedBinds reads the rows that the driver put to a stage because they were many.
func (s *session) stagedBinds(ref string) (*binds, error) {
	r, err := s.findStage(ref)
	if err != nil {
		return nil, err
	}
	files, err := s.srv.stages.files(r)
	if err != nil {
		return nil, err
	}
	b := &binds{array: true}
	for _, f := range files {
		rows, err := readCSV(f.path)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			cells := make([]*string, len(row))
			for i := range row {
				if row[i] != "" {
					cells[i] = &row[i]
				}
			}
			b.rows = append(b.rows, cells)
		}
	}
	if len(b.rows) > 0 {
		for range b.rows[0] {
			b.types = append(b.types, "TEXT")
		}
	}
	return b, nil
}

func readCSV(name string) ([][]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		in = z
	}
	return csv.NewReader(in).ReadAll()
}
