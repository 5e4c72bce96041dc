// Package ociusage reads Oracle Cloud's own cost, usage and FOCUS reports: gzipped
// CSV files that Oracle puts into a bucket of its own, about every six hours.
//
// The bucket lies in the Object Storage namespace "bling", has the tenancy's OCID
// as its name, and answers in the tenancy's HOME region only. Two calls are made,
// each signed with an API key: list the objects under a prefix, and download one.
//
//	reports/cost-csv/   → oci.cost_report
//	reports/usage-csv/  → oci.usage_report  (Oracle ended this feed in 2025; no objects is fine)
//	FOCUS Reports/      → oci.focus_report
//
// Sources: Oracle's "Cost and Usage Reports" pages and its Go SDK v65.129.0, read
// 2026-11. Oracle publishes no rate limit for this bucket.
//
// A slice is one object: one version (ETag) of one name. Files are increments:
// late rows and corrections arrive as new rows in new files, so rows are appended
// and nothing is ever summed up or replaced here; a correction is a row that adds
// to the one it names. File names and dates say nothing about the dates of the
// usage in them. Files differ in their columns: they are bound by header name,
// new columns become text columns, and all tag columns go into one JSON column,
// keyed by the exact header, since two tags may differ by case only.
//
// It stops between objects or inside one, at a row that the engine chose; a
// download that breaks off is made again as a whole before any row is seen.
//
// What it cannot see: files older than the year that Oracle keeps them; usage that
// Oracle has not reported yet (up to a day). That Oracle never rewrites an object
// under its name is an assumption: the rows of a rewritten one replace those of
// its older version, and a check with verdict warn says that it happened.
package ociusage

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest"
)

// Config is the function's environment, prefix OCI.
type Config struct {
	Tenancy     string     `envconfig:"TENANCY" required:"true" doc:"the tenancy's OCID, which is also the bucket's name"`
	User        string     `envconfig:"USER" required:"true" doc:"OCID of the user whose API key signs the requests"`
	Fingerprint string     `envconfig:"FINGERPRINT" required:"true" doc:"fingerprint of the API key, as the console shows it"`
	PrivateKey  env.Secret `envconfig:"PRIVATE_KEY" required:"true" doc:"the API key's private half: the PEM text, with line ends or with \\n in their place"`
	Region      string     `envconfig:"REGION" required:"true" doc:"the tenancy's home region, e.g. us-ashburn-1"`
	URL         string     `envconfig:"OBJECTSTORAGE_URL" doc:"replaces the region's Object Storage address"`
}

// Function is the connector.
var Function = &extract.Function{
	Name:    "ociusage",
	Doc:     "Oracle Cloud cost, usage and FOCUS reports, one slice per file.",
	Workers: 3, // Oracle publishes no limit; public loaders use 2 to 4
	Tables: []extract.Table{
		table[costRow]("cost_report", "What Oracle charges, by resource and hour; amounts add up, corrections included.",
			"line_item_reference_no", "line_item_interval_usage_start", "cost_product_sku", "cost_currency_code"),
		table[usageRow]("usage_report", "What was consumed, by resource and hour; Oracle ended this feed in 2025.",
			"line_item_reference_no", "line_item_interval_usage_start"),
		table[focusRow]("focus_report", "The same charges in the FOCUS 1.0 format.",
			"billed_cost", "billing_currency", "charge_period_start"),
	},
	Open: open,
}

// table declares a table of files. Its rows have no key: exact repetitions within
// the vendor's own files are the vendor's statement, and are kept.
func table[Row any](name, doc string, required ...string) extract.Table {
	t := extract.Table{Slices: extract.Objects(), Table: record.Table{
		Schema: "oci", Name: name, Doc: doc, Columns: record.Columns[Row](),
		Mode: record.Append, File: true, Open: true,
	}}
	t.Rules = append(t.Rules, gate.AtLeast(1).At(gate.Warn))
	for _, column := range required {
		t.Rules = append(t.Rules, gate.Require(column))
	}
	return t
}

// feed is where a table's files lie, and how they are written.
type feed struct {
	prefix string
	header []string // nullable columns without which a file is not what we think
	csv    part.CSVOptions
}

var feeds = map[string]feed{
	// An empty amount is null, but a file without amounts is no cost report.
	"cost_report":  {"reports/cost-csv/", []string{"cost/myCost"}, part.CSVOptions{Gather: tags}},
	"usage_report": {"reports/usage-csv/", nil, part.CSVOptions{Gather: tags}},
	"focus_report": {"FOCUS Reports/", nil, part.CSVOptions{Nulls: []string{"NULL"}}},
}

var tags = map[string]string{"tags/": "tags"}

const (
	namespace = "bling"          // Oracle's, for all tenancies of the commercial realm
	tryTime   = 15 * time.Minute // of one download; a file has up to a million rows; assumed
	fields    = "name,size,etag,timeCreated"
)

type source struct {
	tenancy string
	opts    rest.Options
	conns   *http.Transport
}

// Close lets go of idle connections.
func (s *source) Close() error {
	s.conns.CloseIdleConnections()
	return nil
}

func open(lookup env.Lookup, in extract.Invocation) (extract.Source, error) {
	var c Config
	if err := env.Load(lookup, "OCI", &c); err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // else the transport unpacks some files and not others, and lengths do not match
	s, err := sign(c, t)
	if err != nil {
		return nil, err
	}
	o := rest.Options{BaseURL: s.endpoint, Meter: in.Meter, Scratch: in.Scratch,
		Transport: s, Timeout: tryTime, Classify: refusal}
	if _, err := rest.New(o); err != nil { // better now than at the first request
		return nil, err
	}
	return &source{tenancy: c.Tenancy, opts: o, conns: t}, nil
}

// Objects lists the files of a table. Its errors never mean "no data": no files
// is an empty list.
func (s *source) Objects(ctx context.Context, w extract.Wish) iter.Seq2[extract.Object, error] {
	return func(yield func(extract.Object, error) bool) {
		for start := ""; ; {
			objects, next, err := s.page(ctx, feeds[w.Table].prefix, start)
			for _, o := range objects {
				if !yield(o, nil) {
					return
				}
			}
			if err != nil {
				yield(extract.Object{}, err)
			}
			if err != nil || next == "" {
				return
			}
			start = next
		}
	}
}

// page lists the objects from start on, inclusive; next is "" on the last page.
func (s *source) page(ctx context.Context, prefix, start string) (out []extract.Object, next string, err error) {
	query := url.Values{"prefix": {prefix}, "fields": {fields}}
	if start != "" {
		query.Set("start", start)
	}
	body, err := s.get(ctx, "", nil, query)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	info, err := rest.Rows(body, "objects", func(raw []byte) error {
		o, err := object(raw)
		if err == nil && !strings.HasSuffix(o.Name, "/") { // the console's way to show an empty folder
			out = append(out, o)
		}
		return err
	})
	if token := info["nextStartWith"]; err == nil && len(token) > 0 {
		err = fault.Wrap(fault.Corrupt, json.Unmarshal(token, &next))
	}
	if err == nil && next != "" && next <= start {
		err = fault.New(fault.Corrupt, "the list of %s does not move on: its next page begins at %q, this one at %q", prefix, next, start)
	}
	return out, next, err
}

func object(raw []byte) (extract.Object, error) {
	var o struct {
		Name    string    `json:"name"`
		Size    int64     `json:"size"`
		ETag    string    `json:"etag"`
		Created time.Time `json:"timeCreated"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return extract.Object{}, fault.New(fault.Corrupt, "an entry of the list: %w", err)
	}
	if o.Name == "" || o.ETag == "" {
		return extract.Object{}, fault.New(fault.Corrupt, "the list has an entry without name or etag: were the fields %s asked for?", fields)
	}
	return extract.Object{Name: o.Name, ETag: o.ETag, Size: o.Size, Created: o.Created.UTC()}, nil
}

// Read streams one file into out.
func (s *source) Read(ctx context.Context, slice extract.Slice, out *extract.Out) error {
	if slice.Object == nil {
		return fault.New(fault.Invalid, "slice %s names no object: run the function, it makes slices of what Oracle lists", slice.ID)
	}
	f, o := feeds[slice.Table], *slice.Object
	body, err := s.get(ctx, o.Name, http.Header{"If-Match": {o.ETag}}, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := whole(body, o); err != nil {
		return err
	}
	if err = has(body.Keep(), f.header); err == nil {
		err = out.CSV(body.Keep(), f.csv)
	}
	if fault.Of(err) == fault.Corrupt {
		err = out.Corrupt(ctx, body, err)
	}
	return err
}

// get asks for an object of the bucket, or for the list of them.
func (s *source) get(ctx context.Context, name string, header http.Header, query url.Values) (*rest.Body, error) {
	o := s.opts
	o.Header = header
	client, err := rest.New(o)
	if err != nil {
		return nil, err
	}
	path := "/n/" + namespace + "/b/" + s.tenancy + "/o"
	if name != "" {
		path += "/" + name
	}
	return client.Get(ctx, (&url.URL{Path: path}).EscapedPath(), query)
}

// whole compares a download with the list and with Oracle's checksum, which
// objects that were uploaded in pieces do not have.
func whole(body *rest.Body, o extract.Object) error {
	if o.Size > 0 && body.Size != o.Size {
		return fault.New(fault.Transient, "%s has %d bytes, the list says %d", o.Name, body.Size, o.Size)
	}
	want, err := base64.StdEncoding.DecodeString(body.Header.Get("Content-Md5"))
	if err != nil || len(want) == 0 {
		return nil
	}
	sum := md5.New() // against accidents on the way, not against people
	if _, err := io.Copy(sum, body.Keep()); err != nil {
		return err
	}
	if got := sum.Sum(nil); !bytes.Equal(got, want) {
		return fault.New(fault.Transient, "%s arrived damaged: MD5 %x, Oracle says %x", o.Name, got[:4], want[:min(4, len(want))])
	}
	return nil
}

// has checks that the first line of a file names certain columns.
func has(file io.Reader, columns []string) error {
	if len(columns) == 0 {
		return nil
	}
	plain, err := part.Decompress(file)
	if err != nil {
		return err
	}
	defer plain.Close()
	header, err := part.NewCSV(plain).Next()
	if err != nil {
		return nil // out.CSV will say it better
	}
	for _, column := range columns {
		if !slices.ContainsFunc(header, func(h []byte) bool { return string(bytes.TrimSpace(h)) == column }) {
			return fault.New(fault.Corrupt, "the header has no column %s", column)
		}
	}
	return nil
}
