package ociusagetest

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// object is one version of one name. Its bytes are made when they are first
// asked for.
type object struct {
	etag    string
	created time.Time
	bytes   func() []byte
}

// Put stores an object under a name, or a new version of it with a new ETag.
func (s *Server) Put(name string, data []byte) {
	s.put(name, s.opts.Now(), func() []byte { return data })
}

// PutCSV stores a CSV text as gzip.
func (s *Server) PutCSV(name, text string) { s.Put(name, pack([]byte(text))) }

// Delete removes an object, as the retention of a year does.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, name)
}

// Names lists the objects under a prefix, sorted.
func (s *Server) Names(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.objects)), func(n string) bool { return !strings.HasPrefix(n, prefix) })
}

// Bytes returns an object as it is stored, nil if there is none.
func (s *Server) Bytes(name string) []byte {
	if o := s.object(name); o != nil {
		return o.bytes()
	}
	return nil
}

// ETag returns an object's ETag, "" if there is none.
func (s *Server) ETag(name string) string {
	if o := s.object(name); o != nil {
		return o.etag
	}
	return ""
}

func (s *Server) put(name string, created time.Time, content func() []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions++
	s.objects[name] = &object{
		etag:    fmt.Sprintf("%x-%d", md5.Sum([]byte(name)), s.versions),
		created: created.UTC().Truncate(time.Millisecond),
		bytes:   sync.OnceValue(content),
	}
}

func (s *Server) object(name string) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[name]
}

// summary is an entry of the list. Oracle leaves out what was not asked for.
type summary struct {
	Name        string     `json:"name"`
	Size        *int       `json:"size,omitempty"`
	ETag        *string    `json:"etag,omitempty"`
	MD5         *string    `json:"md5,omitempty"`
	TimeCreated *time.Time `json:"timeCreated,omitempty"`
}

var knownFields = []string{"name", "size", "etag", "md5", "timeCreated", "timeModified", "storageTier", "archivalState"}

func (s *Server) list(w http.ResponseWriter, query url.Values) {
	fields := strings.Split(query.Get("fields"), ",")
	for _, f := range fields {
		if f != "" && !slices.Contains(knownFields, f) {
			refuse(w, http.StatusBadRequest, "InvalidParameter", "fields")
			return
		}
	}
	limit := s.opts.PageSize
	if v := query.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 1000 {
			refuse(w, http.StatusBadRequest, "InvalidParameter", "limit")
			return
		}
		limit = min(limit, n)
	}
	names := slices.DeleteFunc(s.Names(query.Get("prefix")), func(n string) bool { return n < query.Get("start") })
	page := struct {
		Objects       []summary `json:"objects"`
		NextStartWith *string   `json:"nextStartWith"`
	}{Objects: []summary{}}
	if len(names) > limit {
		page.NextStartWith = &names[limit]
		names = names[:limit]
	}
	for _, n := range names {
		if o := s.object(n); o != nil {
			page.Objects = append(page.Objects, s.summary(n, o, fields))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(page)
}

func (s *Server) summary(name string, o *object, fields []string) summary {
	out := summary{Name: name}
	for _, f := range fields {
		switch f {
		case "size":
			n := len(o.bytes())
			out.Size = &n
		case "etag":
			out.ETag = &o.etag
		case "md5":
			if sum := sum(o.bytes()); !s.opts.Multipart {
				out.MD5 = &sum
			}
		case "timeCreated":
			out.TimeCreated = &o.created
		}
	}
	return out
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, name string) {
	o := s.object(name)
	match := r.Header.Get("If-Match")
	switch {
	case o == nil:
		refuse(w, http.StatusNotFound, "ObjectNotFound", "The object was not found in the bucket")
		return
	case match != "" && match != "*" && match != o.etag:
		refuse(w, http.StatusPreconditionFailed, "IfMatchFailed", "The If-Match header does not match the ETag of the object")
		return
	}
	r.Header.Del("If-Match") // net/http wants quoted ETags, Oracle's are bare
	h := w.Header()
	h["etag"] = []string{o.etag} // as Oracle spells it, and so that ServeContent does not judge it
	h.Set("Content-Type", "application/octet-stream")
	if s.opts.Multipart {
		h.Set("Opc-Multipart-Md5", sum(o.bytes())+"-2")
	} else {
		h.Set("Content-Md5", sum(o.bytes()))
	}
	if s.opts.Encoded {
		h.Set("Content-Encoding", "gzip")
	}
	http.ServeContent(w, r, "", o.created, bytes.NewReader(o.bytes()))
}

func sum(data []byte) string {
	s := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(s[:])
}

// refuse answers with Oracle's JSON error.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message})
}
